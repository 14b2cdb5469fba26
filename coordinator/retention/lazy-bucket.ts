import type { KeyValue, KeyValueEntry } from '../../src/bus/key-value.js';

/** A bucket that is opened at its first use, and again after a failure: the server may have lost it. */
export class LazyBucket implements KeyValue {
  private opened: Promise<KeyValue> | null = null;

  constructor(private readonly open: () => Promise<KeyValue>) {}

  get(key: string): Promise<KeyValueEntry | null> {
    return this.use((kv) => kv.get(key));
  }

  create(key: string, value: Uint8Array): Promise<boolean> {
    return this.use((kv) => kv.create(key, value));
  }

  update(key: string, value: Uint8Array, revision: number): Promise<boolean> {
    return this.use((kv) => kv.update(key, value, revision));
  }

  delete(key: string): Promise<void> {
    return this.use((kv) => kv.delete(key));
  }

  private async use<T>(act: (kv: KeyValue) => Promise<T>): Promise<T> {
    this.opened ??= this.open();
    try {
      return await act(await this.opened);
    } catch (error) {
      this.opened = null;
      throw error;
    }
  }
}
