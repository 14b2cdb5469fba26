/** Token ids from the highest logit down, one at a time. */

/**
 * A binary heap that yields token ids by highest logit, then lowest id. Building it costs O(n) and each id O(log n), so a few ids do not cost a
 * sort of the vocabulary.
 */
export class Ranking {
  private readonly logits: Float32Array;
  private readonly ids: Int32Array;
  private _left: number;

  /** Builds the heap within `ids[0, count)`. */
  constructor(logits: Float32Array, ids: Int32Array, count: number) {
    this.logits = logits;
    this.ids = ids;
    this._left = count;
    for (let node = (count >> 1) - 1; node >= 0; node--) this.sink(node);
  }

  get left(): number {
    return this._left;
  }

  /** Removes and returns the next id. One must be left. */
  next(): number {
    const best = this.ids[0]!;
    this._left--;
    this.ids[0] = this.ids[this._left]!;
    this.sink(0);
    return best;
  }

  private sink(from: number): void {
    const ids = this.ids;
    const id = ids[from]!;
    let node = from;
    for (;;) {
      let child = 2 * node + 1;
      if (child >= this._left) break;
      if (child + 1 < this._left && this.before(ids[child + 1]!, ids[child]!)) child++;
      if (!this.before(ids[child]!, id)) break;
      ids[node] = ids[child]!;
      node = child;
    }
    ids[node] = id;
  }

  private before(a: number, b: number): boolean {
    const ofA = this.logits[a]!;
    const ofB = this.logits[b]!;
    return ofA > ofB || (ofA === ofB && a < b);
  }
}
