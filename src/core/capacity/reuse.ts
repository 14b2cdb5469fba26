import { InternalError } from '../../errors.js';

/**
 * Reuse distances of a stream of block references, and the miss-ratio curve that follows from them.
 *
 * Mattson's stack algorithm (R. L. Mattson et al., "Evaluation Techniques for Storage Hierarchies", IBM Systems Journal, 1970) over a spatial sample:
 * SHARDS with a fixed rate and the adjustment of the first bucket (C. A. Waldspurger, N. Park, A. Garthwaite, I. Ahmad, "Efficient MRC Construction
 * with SHARDS", FAST 2015). A block is in the sample if the hash of its id is below a threshold, so all references to it are, or none; distances
 * in the sample, divided by the rate, estimate those in the stream.
 */

/** The values of the hash that decides on the sample. */
const HASHES = 2 ** 32;

/** How many of the references hit in an LRU cache, by its size, and by the weights of the references. */
export interface MissRatioCurve {
  /** Share of the weight of the references that hits in a cache of this many blocks, 0 to 1. It never falls with the size. */
  hitRatio(blocks: number): number;
  /** The same in a cache without a limit. */
  readonly most: number;
  /** Estimate of the distinct blocks of the stream. */
  readonly distinct: number;
  /** The weight of all references. */
  readonly weight: number;
  /**
   * How far the weight of the sample may be from its share, as a part of it: the larger of its standard error and its actual distance. It is large
   * where a few blocks have many of the references. 0 for an exact curve.
   */
  readonly error: number;
}

/** Gathers a stream of references. */
export class ReuseDistances {
  private readonly threshold: number;
  /** Position of the last reference to each block, in the sample. */
  private readonly last = new Map<number, number>();
  private readonly stack: LastReferences;
  /** Hits by their distance in the sample: blocks that were referenced since, this one included. */
  private readonly hits = new Map<number, number>();
  /** Weight of the references to each block, in the sample. */
  private readonly weights = new Map<number, number>();
  private weight = 0;
  private sampledWeight = 0;
  private sampled = 0;

  /**
   * @param rate share of the blocks in the sample, more than 0, at most 1: then the curve is exact
   * @param most references at most; beyond it `add` throws
   */
  constructor(
    private readonly rate: number,
    most: number,
  ) {
    if (!(rate > 0 && rate <= 1)) throw new InternalError(`the rate of a sample is ${rate}`);
    this.threshold = rate * HASHES;
    this.stack = new LastReferences(most);
  }

  /**
   * A reference to a block. Add the blocks of one prompt from the last to the first: an LRU cache then never keeps one without its predecessors.
   * @param weight such as its tokens
   */
  add(id: number, weight = 1): void {
    this.weight += weight;
    if (hashOf(id) >= this.threshold) return;
    const at = this.sampled++;
    this.sampledWeight += weight;
    this.weights.set(id, (this.weights.get(id) ?? 0) + weight);
    const before = this.last.get(id);
    if (before !== undefined) {
      const distance = this.stack.countFrom(before);
      this.hits.set(distance, (this.hits.get(distance) ?? 0) + weight);
      this.stack.remove(before);
    }
    this.stack.put(at);
    this.last.set(id, at);
  }

  curve(): MissRatioCurve {
    const { rate, weight, last } = this;
    // SHARDS-adj: hot blocks in or out of the sample make it too large or too small; the surplus are hits of the least distance.
    const expected = weight * rate;
    const surplus = this.sampledWeight - expected;
    const sorted = [...this.hits].toSorted(([a], [b]) => a - b);
    const sizes: number[] = [];
    const ratios: number[] = [];
    let sum = -surplus;
    for (const [distance, count] of sorted) {
      sum += count;
      sizes.push(distance / rate);
      ratios.push(expected === 0 ? 0 : Math.min(1, Math.max(0, sum / expected)));
    }
    return {
      hitRatio: (blocks) => ratios[lastAtMost(sizes, blocks)] ?? 0,
      most: ratios.at(-1) ?? 0,
      distinct: last.size / rate,
      weight,
      error: expected === 0 ? 0 : Math.max(Math.abs(surplus), this.deviation()) / expected,
    };
  }

  /** The standard deviation of the weight of such samples, from this one (D. G. Horvitz and D. J. Thompson, 1952). */
  private deviation(): number {
    let squares = 0;
    for (const weight of this.weights.values()) squares += weight ** 2;
    return Math.sqrt((1 - this.rate) * squares);
  }
}

/** Index of the last of `sorted` that is at most `limit`; -1 if none is. */
function lastAtMost(sorted: readonly number[], limit: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= limit) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Counts marks behind a position in logarithmic time (P. M. Fenwick, "A New Data Structure for Cumulative Frequency Tables", 1994). */
class LastReferences {
  private readonly tree: Int32Array;
  private total = 0;

  constructor(private readonly most: number) {
    this.tree = new Int32Array(most + 1);
  }

  put(at: number): void {
    if (at >= this.most) throw new InternalError(`a stream has more than ${this.most} references`);
    this.total++;
    this.change(at, 1);
  }

  remove(at: number): void {
    this.total--;
    this.change(at, -1);
  }

  /** Marks at this position and after it. */
  countFrom(at: number): number {
    let before = 0;
    for (let i = at; i > 0; i -= i & -i) before += this.tree[i]!;
    return this.total - before;
  }

  private change(at: number, by: number): void {
    for (let i = at + 1; i <= this.most; i += i & -i) this.tree[i]! += by;
  }
}

/** The finalizer of MurmurHash3 (A. Appleby) over both halves of an id. */
function hashOf(id: number): number {
  return mixed((id >>> 0) ^ mixed(Math.floor(id / HASHES) ^ 0x9e3779b9));
}

function mixed(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
