/** Token ids from the highest logit down, one at a time. */

/**
 * Token ids in order of their logits, highest first, equal ones by lowest id; found one at a time by a binary heap, so that the few that are
 * wanted do not cost a sort of the vocabulary (O(n) to begin, O(log n) each).
 */
export class Ranking {
  private readonly logits: Float32Array;
  private readonly ids: Int32Array;
  private _left: number;

  /** Ranks `ids[0, count)`, whose order it changes. */
  constructor(logits: Float32Array, ids: Int32Array, count: number) {
    this.logits = logits;
    this.ids = ids;
    this._left = count;
    for (let node = (count >> 1) - 1; node >= 0; node--) this.sink(node);
  }

  get left(): number {
    return this._left;
  }

  /** The best id that was not taken yet. There must be one left. */
  take(): number {
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
