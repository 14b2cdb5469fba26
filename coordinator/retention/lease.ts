import { z } from 'zod';
import type { KeyValue } from '../../src/bus/key-value.js';
import type { Clock } from '../../src/clock.js';
import { encode } from '../../src/wire/msgpack.js';
import { readMessage } from '../../src/wire/read-message.js';

/** A lease: only one of several processes at a time may do a task. Each holder has a fencing number, higher than any before it. */

/** Time without a renewal after which another process may take the lease. @internal exported for tests. */
export const LEASE_MS = 5_000;

const LeaseValue = z.strictObject({
  /** Null once its holder has given it back. */
  holder: z.string().max(300).nullable(),
  fence: z.int().min(1),
});
type LeaseValue = z.infer<typeof LeaseValue>;

const KEY = 'lease';

export interface LeaseOptions {
  readonly kv: KeyValue;
  readonly clock: Clock;
  /** Names this process, and no other, not even a later one of the same id. */
  readonly self: string;
}

/**
 * One process's side of a lease in a key-value bucket. The clocks of the processes need not agree: a process takes the lease over after it has seen
 * no renewal for `LEASE_MS` on its own clock. A holder that was paused for longer may still act as if it had the lease; a process that obeys it
 * must therefore check the fencing number. See Kleppmann, "How to do distributed locking".
 */
export class Lease {
  private holds = false;
  /** The other holder's last renewal that was seen here. */
  private seen: { readonly revision: number; readonly atMs: number } | null = null;

  constructor(private readonly options: LeaseOptions) {}

  /**
   * Renews the lease, or takes it if it is free; call it several times in `LEASE_MS`. Returns the fencing number, or null while another process
   * has the lease. Rejects with the errors of the bucket; this process then has no lease.
   */
  async renew(): Promise<number | null> {
    const { kv, clock, self } = this.options;
    this.holds = false;
    const found = await kv.get(KEY);
    const value = found && readMessage(LeaseValue, found.value);
    // A value that no member wrote has no number; workers name theirs when they refuse a lower one.
    if (value === null) return this.take(1, found?.revision ?? null);
    if (value.holder === self) return this.take(value.fence, found!.revision);
    if (value.holder === null) return this.take(value.fence + 1, found!.revision);
    if (this.seen?.revision !== found!.revision) this.seen = { revision: found!.revision, atMs: clock.now() };
    if (clock.now() - this.seen.atMs < LEASE_MS) return null;
    return this.take(value.fence + 1, found!.revision);
  }

  /** Takes a number above one that others have seen: the bucket may have lost the lease. Null if this process does not have the lease any more. */
  async raise(above: number): Promise<number | null> {
    return this.replace((fence) => ({ holder: this.options.self, fence: Math.max(fence, above + 1) }));
  }

  /** Gives the lease back, so that another process need not wait for its end. */
  async giveBack(): Promise<void> {
    await this.replace((fence) => ({ holder: null, fence }));
    this.holds = false;
  }

  /** Replaces the value of a lease that this process has. Returns its number, or null if another process has taken the lease. */
  private async replace(next: (fence: number) => LeaseValue): Promise<number | null> {
    if (!this.holds) return null;
    const { kv } = this.options;
    const found = await kv.get(KEY);
    const value = found && readMessage(LeaseValue, found.value);
    if (value?.holder !== this.options.self) return null;
    const replaced = next(value.fence);
    return (await kv.update(KEY, pack(replaced), found!.revision)) ? replaced.fence : null;
  }

  private async take(fence: number, revision: number | null): Promise<number | null> {
    const { kv, self } = this.options;
    const value = pack({ holder: self, fence });
    this.holds = await (revision === null ? kv.create(KEY, value) : kv.update(KEY, value, revision));
    return this.holds ? fence : null;
  }
}

function pack(value: LeaseValue): Uint8Array {
  return encode(value);
}
