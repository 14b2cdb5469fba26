import { abortReason, orAbort } from '../async/abort.js';
import { Deferred } from '../async/deferred.js';
import { Mutex } from '../async/mutex.js';
import { formatByteSize } from '../byte-size.js';
import { Refused } from '../errors.js';
import type { AdapterRef } from '../protocol/adapter.js';
import type { AdapterLease, Adapters, LoadedAdapter } from './adapters.js';

/** Keeps adapters in memory, within a budget: the least recently used one that no sequence runs with goes first. */

/** An adapter in memory that its owner can free. */
export interface OwnedAdapter extends LoadedAdapter {
  release(): void;
}

export interface AdapterShelfOptions {
  /** Memory for all adapters. */
  readonly budgetBytes: number;
  /** Reads an adapter into memory. Rejects as `Adapters.lease` does. */
  readonly load: (ref: AdapterRef) => Promise<OwnedAdapter>;
  /** Called before an adapter is freed, for others or at the end. */
  readonly onEvict: (adapter: LoadedAdapter) => void;
  /** Called after an adapter was loaded or evicted. */
  readonly onChange?: () => void;
  /** Called when an adapter was loaded, could not be loaded, or gives way to another. */
  readonly onEvent?: (event: 'loaded' | 'failed' | 'evicted') => void;
}

interface Entry {
  readonly bytes: number;
  readonly loading: Promise<OwnedAdapter>;
  /** Null while it is read. */
  adapter: OwnedAdapter | null;
  leases: number;
}

/**
 * Adapters with a budget. A sequence whose adapter has no room waits until others end. To prevent starvation, all later sequences wait behind it, even
 * those with a loaded adapter.
 */
export class AdapterShelf implements Adapters {
  /** By fingerprint, least recently used first. */
  private readonly entries = new Map<string, Entry>();
  private readonly turns = new Mutex();
  private inLine = 0;
  private usedBytes = 0;
  private freed = new Deferred<void>();

  constructor(private readonly options: AdapterShelfOptions) {}

  /** Fingerprints of the adapters in memory, least recently used first. */
  get loaded(): string[] {
    return [...this.entries].filter(([, { adapter }]) => adapter !== null).map(([fingerprint]) => fingerprint);
  }

  /** Memory of the adapters that are loaded, or about to be. */
  get bytes(): number {
    return this.usedBytes;
  }

  async lease(ref: AdapterRef, signal: AbortSignal): Promise<AdapterLease> {
    const entry = (this.inLine === 0 ? this.take(ref) : null) ?? (await this.takeInTurn(ref, signal));
    try {
      return leaseOf(await orAbort(entry.loading, signal), () => this.giveBack(entry));
    } catch (error) {
      this.giveBack(entry);
      throw error;
    }
  }

  /** Frees all adapters. None may be in use. */
  close(): void {
    for (const fingerprint of [...this.entries.keys()]) this.evict(fingerprint);
  }

  /** Takes a lease of an adapter that is loaded or being loaded; null for any other. */
  private take({ fingerprint }: AdapterRef): Entry | null {
    const entry = this.entries.get(fingerprint);
    if (entry === undefined) return null;
    this.entries.delete(fingerprint);
    this.entries.set(fingerprint, entry);
    entry.leases++;
    return entry;
  }

  private async takeInTurn(ref: AdapterRef, signal: AbortSignal): Promise<Entry> {
    this.inLine++;
    try {
      return await this.turns.run(async () => this.take(ref) ?? (await this.add(ref, signal)));
    } finally {
      this.inLine--;
    }
  }

  private async add(ref: AdapterRef, signal: AbortSignal): Promise<Entry> {
    const { bytes, fingerprint } = ref;
    const { budgetBytes, load } = this.options;
    if (bytes > budgetBytes)
      throw new Refused(
        `cannot load the adapter ${ref.name}: it has ${formatByteSize(bytes)}, and --adapter-bytes is ${formatByteSize(budgetBytes)}; raise it on the workers`,
      );
    while (signal.aborted || this.usedBytes + bytes > budgetBytes) {
      if (signal.aborted) throw abortReason(signal);
      if (!this.evictOne()) await orAbort(this.freed.promise, signal);
    }
    this.usedBytes += bytes;
    const entry: Entry = { bytes, loading: load(ref), adapter: null, leases: 1 };
    this.entries.set(fingerprint, entry);
    entry.loading.then(
      (adapter) => {
        entry.adapter = adapter;
        this.wake();
        this.options.onEvent?.('loaded');
        this.options.onChange?.();
      },
      () => {
        this.options.onEvent?.('failed');
        this.forget(fingerprint, entry);
      },
    );
    return entry;
  }

  private giveBack(entry: Entry): void {
    entry.leases--;
    if (entry.leases === 0) this.wake();
  }

  private evictOne(): boolean {
    for (const [fingerprint, { adapter, leases }] of this.entries) {
      if (adapter === null || leases > 0) continue;
      this.evict(fingerprint);
      this.options.onEvent?.('evicted');
      return true;
    }
    return false;
  }

  private evict(fingerprint: string): void {
    const entry = this.entries.get(fingerprint);
    if (!entry?.adapter) return;
    this.options.onEvict(entry.adapter);
    entry.adapter.release();
    this.forget(fingerprint, entry);
    this.options.onChange?.();
  }

  private forget(fingerprint: string, entry: Entry): void {
    this.entries.delete(fingerprint);
    this.usedBytes -= entry.bytes;
    this.wake();
  }

  private wake(): void {
    this.freed.resolve();
    this.freed = new Deferred();
  }
}

function leaseOf(adapter: LoadedAdapter, onRelease: () => void): AdapterLease {
  let released = false;
  return {
    adapter,
    release: () => {
      if (!released) onRelease();
      released = true;
    },
  };
}
