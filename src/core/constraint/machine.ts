import { InvalidRequest } from '../../errors.js';
import { type Program, type StateEdges, statesOf } from './program.js';
import type { TokenTrie } from './token-trie.js';

/** Runs a program over bytes, and says which tokens may follow. */

/** Places of a program at which one text may be at the same time. */
const CONFIGS = 4_096;
/** Depth of calls, such as of arrays in each other. */
const CALL_DEPTH = 512;
/** Memory of the positions that a machine remembers. */
const REMEMBERED_BYTES = 4 * 2 ** 20;
/** Rough size of a position without its mask. */
const POSITION_BYTES = 4_096;

/** Where a call continues, and the call around it. Equal frames are one object. */
interface Frame {
  readonly id: number;
  readonly to: number;
  readonly outer: Frame | null;
  readonly depth: number;
}

interface Config {
  readonly state: number;
  readonly frame: Frame | null;
}

/** All that matters of the bytes so far. Equal positions are one object as long as the machine remembers them. */
export class Position {
  /** By byte: the position after it; null if no text of the language goes on with it; undefined if unknown. */
  private readonly after: (Position | null | undefined)[] = [];
  private _mask: Uint32Array | null = null;

  /** @param configs with edges for bytes */
  constructor(
    private readonly machine: ConstraintMachine,
    readonly configs: readonly Config[],
    /** Whether the text may end here. */
    readonly complete: boolean,
  ) {}

  /** The position after one more byte; null if there is none. */
  next(byte: number): Position | null {
    const known = this.after[byte];
    if (known !== undefined) return known;
    const next = this.machine.step(this.configs, byte);
    this.after[byte] = next;
    return next;
  }

  /** The tokens that may follow, one bit for each id: bit `id % 32` of word `id / 32`. */
  mask(trie: TokenTrie): Uint32Array {
    this._mask ??= trie.allowed(this);
    return this._mask;
  }
}

/**
 * Makes the program deterministic as far as texts reach it: a position is the set of all places at which the program may be, each with its stack
 * of calls. Deterministic: the position follows from the bytes.
 */
export class ConstraintMachine {
  readonly start: Position;
  private readonly states: readonly StateEdges[];
  private positions = new Map<string, Position>();
  private frames = new Map<string, Frame>();
  private frameIds = 0;

  /**
   * @param maskBytes size of one mask
   * @throws InvalidRequest if `program` is not a program
   */
  constructor(
    program: Program,
    private readonly maskBytes: number,
  ) {
    this.states = statesOf(program);
    this.start = this.positionOf([{ state: 0, frame: null }])!;
  }

  /** The position after a byte; null if there is none. */
  step(configs: readonly Config[], byte: number): Position | null {
    const reached: Config[] = [];
    for (const { state, frame } of configs) {
      for (const { first, last, to } of this.states[state]!.bytes) {
        if (byte >= first && byte <= last) reached.push({ state: to, frame });
      }
    }
    return reached.length === 0 ? null : this.positionOf(reached);
  }

  private positionOf(reached: readonly Config[]): Position | null {
    const { configs, complete } = this.closure(reached);
    if (configs.length === 0 && !complete) return null;
    const key = `${complete}${configs.map(keyOf).sort().join()}`;
    const known = this.positions.get(key);
    if (known !== undefined) return known;
    if (this.positions.size * (POSITION_BYTES + this.maskBytes) > REMEMBERED_BYTES) {
      this.positions = new Map();
      this.frames = new Map();
    }
    const position = new Position(this, configs, complete);
    this.positions.set(key, position);
    return position;
  }

  /** Follows all edges without bytes. */
  private closure(reached: readonly Config[]): { configs: Config[]; complete: boolean } {
    const seen = new Set<string>();
    const configs: Config[] = [];
    let complete = false;
    const open = [...reached];
    for (let config = open.pop(); config !== undefined; config = open.pop()) {
      const key = keyOf(config);
      if (seen.has(key)) continue;
      if (seen.size >= CONFIGS)
        throw new InvalidRequest('the constraint is too ambiguous; use fewer alternatives that begin alike');
      seen.add(key);
      const { state, frame } = config;
      const { bytes, epsilons, calls, final } = this.states[state]!;
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
    const frame = { id: ++this.frameIds, to, outer, depth };
    this.frames.set(key, frame);
    return frame;
  }
}

function keyOf({ state, frame }: Config): string {
  return `${state}:${frame?.id ?? 0}`;
}
