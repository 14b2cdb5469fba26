import type { Clock } from '../../src/clock.js';
import { type ShoalError, Unavailable } from '../../src/errors.js';
import type { ObjectName } from '../../src/objects/object-name.js';
import type { CopyOutcome, ObjectCopy, ObjectPeer } from '../../src/objects/object-node.js';
import type { ObjectRing } from '../../src/objects/object-ring.js';
import type { ObjectValue } from '../../src/objects/object-value.js';
import { compareVersions, type Version } from '../../src/objects/version.js';

/** Brings a change of an object to its other homes before it is acknowledged. */

/** How long a home that counts as living may fail to take a copy, until the write fails. A dead one is noticed earlier. */
const SPREAD_MS = 4_000;
const PAUSE_MS = 50;
/** Time limit for one home to take one copy. */
const TAKE_MS = 30_000;

export interface SpreadingOptions {
  readonly self: string;
  readonly ring: ObjectRing;
  readonly clock: Clock;
  readonly peerOf: (worker: string) => ObjectPeer | null;
  /** A home does not have the newest state of an object; it is brought there later. */
  readonly owe: (home: string, name: ObjectName) => void;
  /** A home had no room for a copy. */
  readonly onFull: () => void;
}

/** `newer`: the newest version of a home, where it is newer than the change. `failure`: a living home did not take the change in time. */
export interface Spread {
  readonly newer: Version | null;
  readonly failure: ShoalError | null;
}

export class Spreading {
  /** Homes that lack a change which is not in the store yet. */
  private readonly lacking = new Map<string, Set<string>>();

  constructor(private readonly options: SpreadingOptions) {}

  /**
   * Resolves when all homes that live have the change, or one failed to take it in time. Homes that lack it are owed the change once `settle` is
   * called.
   * @param value the bytes of a retimed object, for a home that lacks them
   */
  async spread(copy: ObjectCopy, value: ObjectValue | null): Promise<Spread> {
    const { self, ring } = this.options;
    const homes = ring.homes(copy.name.hash).filter((home) => home !== self);
    let newer: Version | null = null;
    let failure: ShoalError | null = null;
    if (homes.length === 0) return { newer, failure };
    for (const outcome of await Promise.all(homes.map((home) => this.bring(home, copy, value)))) {
      if (outcome instanceof Unavailable) failure = outcome;
      else if (outcome.type === 'newer' && (newer === null || compareVersions(outcome.version, newer) > 0))
        newer = outcome.version;
    }
    return { newer, failure };
  }

  /** The change is in the store: owes it to the homes that lack it. */
  settle(name: ObjectName): void {
    const homes = this.lacking.get(name.hash);
    if (homes === undefined) return;
    this.lacking.delete(name.hash);
    for (const home of homes) this.options.owe(home, name);
  }

  private async bring(home: string, copy: ObjectCopy, value: ObjectValue | null): Promise<CopyOutcome | Unavailable> {
    const { ring, clock, peerOf, onFull } = this.options;
    const { hash } = copy.name;
    const deadlineMs = clock.now() + SPREAD_MS;
    for (;;) {
      if (ring.standing(home) !== 'live' || !ring.homes(hash).includes(home)) return this.lacks(home, hash);
      try {
        const peer = peerOf(home);
        if (peer === null) throw new Unavailable(`worker ${home} has no address`);
        const outcome = await take(peer, copy, value);
        if (outcome.type === 'full') onFull();
        return outcome;
      } catch (error) {
        if (clock.now() > deadlineMs) {
          const reason = error instanceof Error ? error.message : String(error);
          this.lacks(home, hash);
          return new Unavailable(`worker ${home} did not take a copy of the object: ${reason}; retry`, {
            cause: error,
          });
        }
      }
      await new Promise<void>((resolve) => clock.after(PAUSE_MS, resolve));
    }
  }

  private lacks(home: string, hash: string): CopyOutcome {
    const homes = this.lacking.get(hash) ?? this.lacking.set(hash, new Set()).get(hash)!;
    homes.add(home);
    return { type: 'stored' };
  }
}

/** Offers a change; a retimed object is sent whole if its bytes are not there. */
async function take(peer: ObjectPeer, copy: ObjectCopy, value: ObjectValue | null): Promise<CopyOutcome> {
  const outcome = await peer.take(copy, AbortSignal.timeout(TAKE_MS));
  if (outcome.type !== 'lacks' || copy.type !== 'retimed' || value === null) return outcome;
  return peer.take({ type: 'value', name: copy.name, info: copy.info, value }, AbortSignal.timeout(TAKE_MS));
}
