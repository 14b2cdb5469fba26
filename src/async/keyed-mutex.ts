/** A mutex for each key: work under one key runs one at a time, in order of arrival. */
export class KeyedMutex<K> {
  private readonly last = new Map<K, Promise<unknown>>();

  /** Keys with work. */
  get size(): number {
    return this.last.size;
  }

  async run<T>(key: K, work: () => Promise<T>): Promise<T> {
    const before = this.last.get(key);
    // A failure is reported to its own caller; the next waiter runs anyway.
    const turn = before === undefined ? work() : before.then(work, work);
    this.last.set(key, turn);
    try {
      return await turn;
    } finally {
      if (this.last.get(key) === turn) this.last.delete(key);
    }
  }
}
