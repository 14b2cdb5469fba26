import { InvalidRequest } from '../../errors.js';
import { byteClasses } from './byte-classes.js';
import { PositionKinds } from './position-kinds.js';
import { type Program, type StateEdges, statesOf } from './program.js';
import type { TokenPart, TokenTrie } from './token-trie.js';

/** Runs a program over bytes, and says which tokens may follow. */

/** Places of a program at which one text may be at the same time. */
const CONFIGS = 1_024;
/** Depth of calls, such as of arrays in each other. */
const CALL_DEPTH = 512;
/** Edges and places that are looked at to find the tokens that may follow one position. */
const MASK_WORK = 400_000;

/** Memory of a position without its places, of each of its places and of each byte class, and of a frame. */
const POSITION_BYTES = 512;
const CONFIG_BYTES = 96;
const CLASS_BYTES = 8;
const FRAME_BYTES = 256;

/** A text may be at too many places of a program, or the tokens that may follow take too long to find. */
export class TooAmbiguous extends InvalidRequest {}

/** Where a call continues, and the call around it. Equal frames of one generation are one object. */
export interface Frame {
  readonly id: number;
  readonly to: number;
  readonly outer: Frame | null;
  readonly depth: number;
  readonly generation: number;
}

interface Config {
  readonly state: number;
  readonly frame: Frame | null;
}

/** The tokens of one part of a vocabulary that may follow all positions of one kind. */
interface PartMask {
  readonly mask: Uint32Array;
  /** The position for which they were looked up. */
  readonly first: Position;
}

/** For the tokens of one part of a vocabulary: the kinds of positions that none of them tells apart, and the tokens that may follow each. */
interface PartMasks {
  readonly kinds: PositionKinds;
  readonly byKind: Map<string, PartMask>;
}

/** The state after the bytes so far. Equal positions are one object until the machine drops them. */
export class Position {
  /** By class of bytes: the position after it; null if no text of the language continues with it; undefined if unknown. */
  private readonly after: (Position | null | undefined)[] = [];
  private _mask: Uint32Array | null = null;
  /** The equal position of a later generation. */
  private renewed: Position | null = null;

  /** @param configs with edges for bytes */
  constructor(
    private readonly machine: ConstraintMachine,
    readonly configs: readonly Config[],
    /** Whether the text may end here. */
    readonly complete: boolean,
    private readonly generation: number,
  ) {}

  /**
   * The position after one more byte; null if there is none.
   * @throws TooAmbiguous if the text would be at too many places
   */
  next(byte: number): Position | null {
    const position = this.current();
    const { machine } = position;
    const byteClass = machine.classOf[byte]!;
    const known = position.after[byteClass];
    if (known !== undefined) return known;
    const next = machine.step(position.configs, byte);
    position.after[byteClass] = next;
    return next;
  }

  /**
   * The tokens that may follow, one bit for each id: bit `id % 32` of word `id / 32`.
   * @throws TooAmbiguous if they take too long to find
   */
  mask(trie: TokenTrie): Uint32Array {
    const position = this.current();
    if (position._mask !== null) return position._mask;
    const { machine } = this;
    const parts = machine.within(MASK_WORK, () => trie.parts.map((part) => machine.maskOf(part, position, trie.vocab)));
    const mask = new Uint32Array(Math.ceil(trie.vocab / 32));
    for (const { mask: bits } of parts) for (let word = 0; word < mask.length; word++) mask[word]! |= bits[word]!;
    // Most texts come by each position of a bounded text only once, so that the first one of its kind alone keeps all tokens.
    if (parts.at(-1)?.first === position && position.generation === machine.generation) {
      position._mask = mask;
      machine.remember(mask.byteLength);
    }
    return mask;
  }

  /** Drops its references to other positions, and its mask. */
  forget(): void {
    this.after.length = 0;
    this._mask = null;
    this.renewed = null;
  }

  /** Itself, or the equal position of the machine's generation: positions of earlier generations are empty. */
  private current(): Position {
    this.machine.trim();
    const { generation } = this.machine;
    if (this.generation === generation) return this;
    if (this.renewed?.generation !== generation) this.renewed = this.machine.renew(this.configs, this.complete);
    return this.renewed;
  }
}

/**
 * Makes the program deterministic lazily, as texts reach it: a position is the set of all places at which the program may be, each with its stack
 * of calls. Deterministic: the position follows from the bytes. The memory for positions is bounded: at the limit the machine drops all, and begins a
 * new generation of positions.
 */
export class ConstraintMachine {
  /** By byte: its class. The program treats the bytes of a class alike. */
  readonly classOf: Uint8Array;
  private readonly states: readonly StateEdges[];
  private readonly classes: number;
  private readonly positions = new Map<string, Position>();
  private readonly frames = new Map<string, Frame>();
  private readonly masks = new Map<TokenPart, PartMasks>();
  private frameIds = 0;
  private usedBytes = 0;
  private workLeft = Number.POSITIVE_INFINITY;
  private _generation = 0;

  /**
   * @param limitBytes memory for positions and their masks
   * @throws InvalidRequest if `program` is not a program
   */
  constructor(
    program: Program,
    private limitBytes: number,
  ) {
    this.states = statesOf(program);
    this.classOf = byteClasses(this.states);
    this.classes = Math.max(...this.classOf) + 1;
  }

  get start(): Position {
    this.trim();
    return this.positionOf([{ state: 0, frame: null }])!;
  }

  /** Rises when the positions so far are forgotten. */
  get generation(): number {
    return this._generation;
  }

  /** Remembers at most this much from now on. */
  limit(bytes: number): void {
    this.limitBytes = bytes;
    this.trim();
  }

  /** The position after a byte; null if there is none. @param configs of the current generation */
  step(configs: readonly Config[], byte: number): Position | null {
    const reached: Config[] = [];
    for (const { state, frame } of configs) {
      const { bytes } = this.states[state]!;
      this.work(1 + bytes.length);
      for (const { first, last, to } of bytes) {
        if (byte >= first && byte <= last) reached.push({ state: to, frame });
      }
    }
    return reached.length === 0 ? null : this.positionOf(reached);
  }

  /** A position of an earlier generation in the current one. */
  renew(configs: readonly Config[], complete: boolean): Position {
    return this.interned(
      configs.map(({ state, frame }) => ({ state, frame: this.renewedFrame(frame) })),
      complete,
    );
  }

  /** The tokens of a part that may follow a position, as in `Position.mask`. @param position of the current generation */
  maskOf(part: TokenPart, position: Position, vocab: number): PartMask {
    const { kinds, byKind } = this.masksOf(part);
    const kind = kinds.kindOf(position);
    const known = byKind.get(kind);
    if (known !== undefined) return known;
    const { generation } = this;
    const found = { mask: new Uint32Array(Math.ceil(vocab / 32)), first: position };
    part.mark(position, found.mask);
    if (generation === this.generation) {
      byKind.set(kind, found);
      this.remember(found.mask.byteLength);
    }
    return found;
  }

  /** Counts memory of kept positions and masks. */
  remember(bytes: number): void {
    this.usedBytes += bytes;
  }

  /** Forgets all positions if they take too much memory. */
  trim(): void {
    if (this.usedBytes <= this.limitBytes) return;
    for (const position of this.positions.values()) position.forget();
    this.positions.clear();
    this.frames.clear();
    for (const { kinds, byKind } of this.masks.values()) {
      kinds.forget();
      byKind.clear();
    }
    this.usedBytes = 0;
    this._generation++;
  }

  /** Bounds the work of a task. @throws TooAmbiguous if it takes more */
  within<T>(work: number, task: () => T): T {
    this.workLeft = work;
    try {
      return task();
    } finally {
      this.workLeft = Number.POSITIVE_INFINITY;
    }
  }

  private work(amount: number): void {
    this.workLeft -= amount;
    if (this.workLeft < 0)
      throw new TooAmbiguous(
        'the constraint is too ambiguous to find the next tokens in time; use smaller repetition counts and fewer alternatives that begin alike',
      );
  }

  private masksOf(part: TokenPart): PartMasks {
    const known = this.masks.get(part);
    if (known !== undefined) return known;
    const masks = { kinds: new PositionKinds(this.states, part.mostBytes), byKind: new Map() };
    this.masks.set(part, masks);
    return masks;
  }

  private positionOf(reached: readonly Config[]): Position | null {
    const { configs, complete } = this.closure(reached);
    return configs.length === 0 && !complete ? null : this.interned(configs, complete);
  }

  private interned(configs: readonly Config[], complete: boolean): Position {
    const key = `${complete}${configs.map(keyOf).sort().join()}`;
    const known = this.positions.get(key);
    if (known !== undefined) return known;
    const position = new Position(this, configs, complete, this.generation);
    this.positions.set(key, position);
    this.remember(POSITION_BYTES + CLASS_BYTES * this.classes + CONFIG_BYTES * configs.length);
    return position;
  }

  /** Follows all edges without bytes. */
  private closure(reached: readonly Config[]): { configs: Config[]; complete: boolean } {
    const seen = new Set<number>();
    const configs: Config[] = [];
    let complete = false;
    const open = [...reached];
    for (let config = open.pop(); config !== undefined; config = open.pop()) {
      const key = keyOf(config);
      if (seen.has(key)) continue;
      if (seen.size >= CONFIGS)
        throw new TooAmbiguous(
          'the constraint is too ambiguous; use smaller repetition counts and fewer alternatives that begin alike',
        );
      seen.add(key);
      const { state, frame } = config;
      const { bytes, epsilons, calls, final } = this.states[state]!;
      this.work(1 + epsilons.length + calls.length);
      if (bytes.length > 0) configs.push(config);
      for (const to of epsilons) open.push({ state: to, frame });
      for (const { start, to } of calls) open.push({ state: start, frame: this.frameOf(to, frame) });
      if (!final) continue;
      if (frame === null) complete = true;
      else open.push({ state: frame.to, frame: frame.outer });
    }
    return { configs, complete };
  }

  private frameOf(to: number, outer: Frame | null): Frame {
    const key = `${to} ${outer?.id ?? ''}`;
    const known = this.frames.get(key);
    if (known !== undefined) return known;
    const depth = (outer?.depth ?? 0) + 1;
    if (depth > CALL_DEPTH)
      throw new InvalidRequest(`the constraint allows more than ${CALL_DEPTH} levels in each other`);
    const frame = { id: ++this.frameIds, to, outer, depth, generation: this.generation };
    this.frames.set(key, frame);
    this.remember(FRAME_BYTES);
    return frame;
  }

  private renewedFrame(frame: Frame | null): Frame | null {
    if (frame === null || frame.generation === this.generation) return frame;
    this.work(1);
    return this.frameOf(frame.to, this.renewedFrame(frame.outer));
  }
}

/** Distinct for distinct states and frames: there are fewer than 2^16 states. */
function keyOf({ state, frame }: Config): number {
  return (frame?.id ?? 0) * 0x10000 + state;
}
