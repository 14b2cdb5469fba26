/** Reference counts of one owner's objects, kept by process, so that a lost process releases all of its references. No clock inside. */

interface Entry {
  /** Counts above 0, by holder. */
  readonly holders: Map<string, number>;
  /** The object is kept until then for the receivers of references that are in transit. */
  keepUntilMs: number;
}

/** The references to the objects of one owner. Methods that may free objects return the ids of the freed ones. */
export class ReferenceCount {
  private readonly entries = new Map<string, Entry>();

  get size(): number {
    return this.entries.size;
  }

  has(id: string): boolean {
    return this.entries.has(id);
  }

  /** A new object, held once. */
  add(id: string, holder: string): void {
    this.entries.set(id, { holders: new Map([[holder, 1]]), keepUntilMs: Number.NEGATIVE_INFINITY });
  }

  /** One more reference of a holder. False if the object is gone. */
  hold(id: string, holder: string): boolean {
    const entry = this.entries.get(id);
    if (!entry) return false;
    entry.holders.set(holder, (entry.holders.get(holder) ?? 0) + 1);
    return true;
  }

  /** One reference of a holder less. One that it does not have changes nothing. */
  release(id: string, holder: string, nowMs: number): string[] {
    const entry = this.entries.get(id);
    const count = entry?.holders.get(holder) ?? 0;
    if (!entry || count === 0) return [];
    if (count === 1) entry.holders.delete(holder);
    else entry.holders.set(holder, count - 1);
    return this.ended([id], nowMs);
  }

  /** A reference to the object was sent: its receiver has until `untilMs` to take a reference of its own. */
  sent(id: string, untilMs: number): void {
    const entry = this.entries.get(id);
    if (entry) entry.keepUntilMs = Math.max(entry.keepUntilMs, untilMs);
  }

  /** The only receiver of a sent reference has taken its own, or needs none. */
  received(id: string, nowMs: number): string[] {
    const entry = this.entries.get(id);
    if (!entry) return [];
    entry.keepUntilMs = Number.NEGATIVE_INFINITY;
    return this.ended([id], nowMs);
  }

  /** A process is gone, and with it all its references. */
  gone(holder: string, nowMs: number): string[] {
    const held = [...this.entries].filter(([, { holders }]) => holders.delete(holder)).map(([id]) => id);
    return this.ended(held, nowMs);
  }

  /** To be called regularly. */
  tick(nowMs: number): string[] {
    return this.ended([...this.entries.keys()], nowMs);
  }

  private ended(ids: readonly string[], nowMs: number): string[] {
    const over = ids.filter((id) => {
      const entry = this.entries.get(id)!;
      return entry.holders.size === 0 && entry.keepUntilMs <= nowMs;
    });
    for (const id of over) this.entries.delete(id);
    return over;
  }
}
