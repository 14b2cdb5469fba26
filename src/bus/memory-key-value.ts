import type { KeyValue, KeyValueEntry } from './key-value.js';

/** A key-value bucket in memory, for tests. */
export class MemoryKeyValue implements KeyValue {
  private readonly entries = new Map<string, KeyValueEntry>();
  private revisions = 0;

  /** @param wallMs the clock of the store, in milliseconds since 1970 */
  constructor(private readonly wallMs: () => number = Date.now) {}

  async get(key: string): Promise<KeyValueEntry | null> {
    return this.entries.get(key) ?? null;
  }

  async create(key: string, value: Uint8Array): Promise<boolean> {
    return !this.entries.has(key) && this.set(key, value);
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<boolean> {
    return this.entries.get(key)?.revision === revision && this.set(key, value);
  }

  async delete(key: string): Promise<void> {
    this.entries.delete(key);
  }

  /** Loses all values. */
  clear(): void {
    this.entries.clear();
  }

  private set(key: string, value: Uint8Array): true {
    this.entries.set(key, { value: value.slice(), revision: ++this.revisions, writtenMs: this.wallMs() });
    return true;
  }
}
