import { createHash } from 'node:crypto';
import { InvalidRequest, Overloaded } from '../../errors.js';
import { amount, count } from '../client/checked.js';
import type { ActorHandle } from '../client/handle-types.js';
import { ActorDied } from '../errors.js';

/** Gives work to the actor that had the most of its prefix before, unless that one has too much to do. The handles stay the caller's. */

/** Characters of a prefix that count as one piece, and pieces that count. */
const PIECE_CHARS = 128;
const PIECES = 64;

export interface AffinityPoolOptions {
  /** Pieces of work that an actor has at a time, at most. Default: 8. */
  readonly maxLoad?: number;
  /** How much more than the average an actor may have because of its prefixes. Default: 1.25. */
  readonly imbalance?: number;
  /** Work that may wait; beyond that it fails with Overloaded. Default: 1,024. */
  readonly maxWaiting?: number;
  /** Pieces of prefixes that are remembered. Default: 65,536. */
  readonly remembered?: number;
}

/** Pieces of work for which an actor is passed over after it died; doubles each time that it is dead still. It may be created again. */
const PASSED_OVER = 8;
const PASSED_OVER_MAX = 1_024;

interface Place<T> {
  readonly actor: ActorHandle<T>;
  load: number;
  /** Pieces of work for which it is still passed over. */
  passedOver: number;
  deaths: number;
}

export class AffinityPool<T> {
  private readonly places: readonly Place<T>[];
  private readonly waiting: (() => void)[] = [];
  /** The actor that had a prefix last, by its digest. The least recently used is the first. */
  private readonly had = new Map<string, Place<T>>();
  private readonly bounds: Required<AffinityPoolOptions>;

  /** @throws InvalidRequest without actors, or for a wrong bound */
  constructor(actors: readonly ActorHandle<T>[], options: AffinityPoolOptions = {}) {
    if (actors.length === 0) throw new InvalidRequest('actors: are none; a pool needs at least one', 'actors');
    this.places = actors.map((actor) => ({ actor, load: 0, passedOver: 0, deaths: 0 }));
    this.bounds = {
      maxLoad: count('maxLoad', options.maxLoad, 8, 1, Number.MAX_SAFE_INTEGER),
      imbalance: amount('imbalance', options.imbalance, 1.25),
      maxWaiting: count('maxWaiting', options.maxWaiting, 1_024, 0, Number.MAX_SAFE_INTEGER),
      remembered: count('remembered', options.remembered, 65_536, 0, Number.MAX_SAFE_INTEGER),
    };
  }

  /** Does the work with the best actor, and waits while all are full. Throws what the work throws, and Overloaded. */
  async submit<Result>(prefix: string, work: (actor: ActorHandle<T>) => Promise<Result>): Promise<Result> {
    const { maxLoad, maxWaiting } = this.bounds;
    if (this.usable().every(({ load }) => load >= maxLoad)) {
      if (this.waiting.length >= maxWaiting)
        throw new Overloaded(`cannot add work to the pool: ${maxWaiting} pieces wait`);
      // A call that ends hands its place on, so that no other call takes it.
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
    const place = this.choose(digests(prefix));
    place.load++;
    for (const other of this.places) if (other.passedOver > 0) other.passedOver--;
    try {
      const result = await work(place.actor);
      place.deaths = 0;
      return result;
    } catch (error) {
      if (error instanceof ActorDied) place.passedOver = Math.min(PASSED_OVER * 2 ** place.deaths++, PASSED_OVER_MAX);
      throw error;
    } finally {
      place.load--;
      this.waiting.shift()?.();
    }
  }

  /** The actors that have not died lately; all of them if all have. */
  private usable(): readonly Place<T>[] {
    const alive = this.places.filter(({ passedOver }) => passedOver === 0);
    return alive.length === 0 ? this.places : alive;
  }

  private choose(pieces: readonly string[]): Place<T> {
    const { maxLoad, imbalance } = this.bounds;
    const hasRoom = ({ load }: Place<T>) => load < maxLoad;
    const alive = this.usable().filter(hasRoom);
    // A call that waited may have got the place of one whose actor died.
    const open = alive.length > 0 ? alive : this.places.filter(hasRoom);
    const total = this.places.reduce((sum, { load }) => sum + load, 1);
    const bound = Math.max(1, Math.ceil((imbalance * total) / this.places.length));
    const known = pieces.findLast((piece) => this.had.has(piece));
    const near = known === undefined ? undefined : this.had.get(known);
    const emptiest = open.reduce((best, place) => (place.load < best.load ? place : best));
    const chosen = near && open.includes(near) && near.load < bound ? near : emptiest;
    for (const piece of pieces) {
      this.had.delete(piece);
      this.had.set(piece, chosen);
    }
    const oldest = this.had.size > this.bounds.remembered ? [...this.had.keys()].slice(0, PIECES) : [];
    for (const piece of oldest) this.had.delete(piece);
    return chosen;
  }
}

/** Of each prefix of the prefix, in whole pieces; a shorter one is a piece. */
function digests(prefix: string): string[] {
  const count = Math.min(PIECES, Math.max(1, Math.floor(prefix.length / PIECE_CHARS)));
  const hash = createHash('sha256');
  return Array.from({ length: count }, (_, i) => {
    hash.update(prefix.slice(i * PIECE_CHARS, (i + 1) * PIECE_CHARS));
    return hash.copy().digest('base64url');
  });
}
