import { InvalidRequest } from '../../errors.js';
import { type CharSet, utf8Sequences } from './char-set.js';

/**
 * A language of byte strings as a recursive transition network: states with edges, where an edge may call another state and continue when that one
 * is done. It travels to workers as numbers.
 */

/** Edges of a program, which travels with a request. */
export const PROGRAM_EDGES = 16_384;
const STATES = 16_384;

/** In the second number of an edge, in place of the first byte of a range. */
const EPSILON = 0xffff;
const CALL = 0xfffe;
const FINAL = 0xfffd;

/**
 * Edges as quadruples, the program beginning in state 0: `[from, first byte, last byte, to]`; `[from, EPSILON, 0, to]`, to go on at once;
 * `[from, CALL, start, to]`, to go on once the states from `start` are done; `[from, FINAL, 0, 0]`, where a call or the program may end.
 */
export type Program = Uint16Array;

/** A text in UTF-8, or its bytes in a program. */
export type ProgramText = string | Uint8Array;

/** The edges that leave one state of a program. */
export interface StateEdges {
  readonly bytes: { readonly first: number; readonly last: number; readonly to: number }[];
  readonly epsilons: number[];
  readonly calls: { readonly start: number; readonly to: number }[];
  final: boolean;
}

/** Reads a program. @throws InvalidRequest if it is not one */
export function statesOf(program: Program): StateEdges[] {
  const states: StateEdges[] = [];
  const stateAt = (id: number): StateEdges => {
    if (id >= STATES) throw new InvalidRequest(`a state of the constraint must be 0 to ${STATES - 1}, got ${id}`);
    while (states.length <= id) states.push({ bytes: [], epsilons: [], calls: [], final: false });
    return states[id]!;
  };
  if (program.length % 4 !== 0 || program.length > 4 * PROGRAM_EDGES)
    throw new InvalidRequest(`the constraint must have at most ${PROGRAM_EDGES} edges, got ${program.length / 4}`);
  stateAt(0);
  for (let i = 0; i < program.length; i += 4) {
    const [from, first, last, to] = program.subarray(i, i + 4) as unknown as [number, number, number, number];
    const state = stateAt(from);
    stateAt(to);
    if (first === EPSILON) state.epsilons.push(to);
    else if (first === FINAL) state.final = true;
    else if (first === CALL) {
      stateAt(last);
      state.calls.push({ start: last, to });
    } else if (first <= last && last <= 255) state.bytes.push({ first, last, to });
    else throw new InvalidRequest(`the constraint has an edge for the bytes ${first} to ${last}`);
  }
  return states;
}

/** The program of the texts of another one, with a text before them. @throws InvalidRequest if it would be too large */
export function prefixed(before: Uint8Array, program: Program): Program {
  const [shift, edges] = [before.length, program.length / 4];
  if (edges + shift > PROGRAM_EDGES) throw tooLarge('edges', PROGRAM_EDGES);
  const numbers: number[] = [...before].flatMap((byte, i) => [i, byte, byte, i + 1]);
  for (let i = 0; i < program.length; i += 4) {
    const [from, first, last, to] = program.subarray(i, i + 4) as unknown as [number, number, number, number];
    if (Math.max(from, to) + shift >= STATES) throw tooLarge('states', STATES);
    numbers.push(from + shift, first, first === CALL ? last + shift : last, first === FINAL ? 0 : to + shift);
  }
  return Uint16Array.from(numbers);
}

function tooLarge(what: 'states' | 'edges', most: number): InvalidRequest {
  return new ConstraintTooLarge(`needs more than ${most} ${what}; use smaller bounds or fewer alternatives`);
}

/** The constraint is too large to be compiled. */
class ConstraintTooLarge extends InvalidRequest {}

/** Makes a program state by state. State 0 is the start. */
export class ProgramBuilder {
  private readonly edges: number[] = [];
  private states = 1;

  /** A new state. */
  state(): number {
    if (this.states >= STATES) throw tooLarge('states', STATES);
    return this.states++;
  }

  bytes(from: number, first: number, last: number, to: number): void {
    this.add(from, first, last, to);
  }

  epsilon(from: number, to: number): void {
    this.add(from, EPSILON, 0, to);
  }

  /** Continues at `to` once the states from `start` are done. */
  call(from: number, start: number, to: number): void {
    this.add(from, CALL, start, to);
  }

  final(state: number): void {
    this.add(state, FINAL, 0, 0);
  }

  /** The bytes of a text. */
  text(from: number, text: ProgramText, to: number): void {
    this.sequence(
      from,
      [...Buffer.from(text)].map((byte) => [byte, byte] as const),
      to,
    );
  }

  /** The bytes of any of some texts. Texts that begin alike share states. */
  texts(from: number, texts: Iterable<ProgramText>, to: number): void {
    this.textsTo(
      from,
      [...texts].map((text) => [text, to]),
    );
  }

  /** The bytes of several texts, each leading to its own state. Texts that begin alike share states. */
  textsTo(from: number, texts: Iterable<readonly [text: ProgramText, to: number]>): void {
    const states = new Map<string, number>();
    const known = new Set<string>();
    for (const [text, to] of texts) {
      const bytes = Buffer.from(text).toString('latin1');
      if (known.has(`${to} ${bytes}`)) continue;
      known.add(`${to} ${bytes}`);
      if (bytes === '') this.epsilon(from, to);
      let at = from;
      for (let i = 0; i < bytes.length; i++) {
        const byte = bytes.charCodeAt(i);
        const last = i === bytes.length - 1;
        const reached = last ? to : states.get(bytes.slice(0, i + 1));
        const next = reached ?? this.state();
        if (!last) states.set(bytes.slice(0, i + 1), next);
        if (last || reached === undefined) this.bytes(at, byte, byte, next);
        at = next;
      }
    }
  }

  /** The UTF-8 bytes of any character of a set. */
  chars(from: number, set: CharSet, to: number): void {
    for (const ranges of utf8Sequences(set)) this.sequence(from, ranges, to);
  }

  /** Those of some states from which no end can be reached. */
  endless(states: readonly number[]): number[] {
    const useful = usefulStates(statesOf(Uint16Array.from(this.edges)));
    return states.filter((state) => !useful[state]);
  }

  /** The program, without the states from which no end can be reached; null if there is no end at all. */
  build(): Program | null {
    const states = statesOf(Uint16Array.from(this.edges));
    const useful = usefulStates(states);
    if (!useful[0]) return null;
    const kept: number[] = [];
    for (let i = 0; i < this.edges.length; i += 4) {
      const [from, first, last, to] = this.edges.slice(i, i + 4) as [number, number, number, number];
      const goes = first === FINAL || useful[to]!;
      if (useful[from] && goes && (first !== CALL || useful[last])) kept.push(from, first, last, to);
    }
    return Uint16Array.from(kept);
  }

  private sequence(from: number, ranges: readonly (readonly [number, number])[], to: number): void {
    if (ranges.length === 0) this.epsilon(from, to);
    let at = from;
    for (const [i, [first, last]] of ranges.entries()) {
      const next = i === ranges.length - 1 ? to : this.state();
      this.bytes(at, first, last, next);
      at = next;
    }
  }

  private add(from: number, first: number, last: number, to: number): void {
    if (this.edges.length >= 4 * PROGRAM_EDGES) throw tooLarge('edges', PROGRAM_EDGES);
    this.edges.push(from, first, last, to);
  }
}

/** By state, whether a `final` can be reached from it. */
function usefulStates(states: readonly StateEdges[]): boolean[] {
  return leastSolution(states, leadsToUseful);
}

/**
 * By state, whether something holds of it: it does for final states, and for those of which `follows` says so from what holds of the states after them. The
 * least solution, found backwards.
 */
export function leastSolution(
  states: readonly StateEdges[],
  follows: (state: StateEdges, holds: readonly boolean[]) => boolean,
): boolean[] {
  const holds = states.map(({ final }) => final);
  /** By state: the states of which it may hold once it holds of this one. */
  const waiting: number[][] = states.map(() => []);
  for (const [id, { bytes, epsilons, calls }] of states.entries()) {
    for (const { to } of bytes) waiting[to]!.push(id);
    for (const to of epsilons) waiting[to]!.push(id);
    for (const { start, to } of calls) {
      waiting[to]!.push(id);
      waiting[start]!.push(id);
    }
  }
  const open = holds.flatMap((is, id) => (is ? [id] : []));
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    for (const candidate of waiting[id]!) {
      if (holds[candidate] || !follows(states[candidate]!, holds)) continue;
      holds[candidate] = true;
      open.push(candidate);
    }
  }
  return holds;
}

function leadsToUseful({ bytes, epsilons, calls }: StateEdges, useful: readonly boolean[]): boolean {
  return (
    bytes.some(({ to }) => useful[to]) ||
    epsilons.some((to) => useful[to]) ||
    calls.some(({ start, to }) => useful[start] && useful[to])
  );
}
