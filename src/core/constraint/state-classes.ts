import { leastSolution, type StateEdges } from './program.js';

/** Finds the states of a program that no short text can tell apart, such as those of a bounded repetition that is far from its bound. */

/** Limit on the states that are reached without a byte, summed over all states. Beyond it each state is a class of its own. */
const CLOSURE_STATES = 65_536;
/** Limit on the work to find the classes. */
const SIGNATURES = 65_536;

/**
 * By state: the number of its class. From two states of a class the same texts of up to `bytes` bytes can be read, and may end at the same places, if what
 * their calls around them continue with is of equal classes, too. Each state is a class of its own where that takes too long to find.
 *
 * Partition refinement (E. F. Moore, Gedanken-experiments on sequential machines, 1956), stopped after as many rounds as there are bytes: a round splits the
 * classes whose states lead to different ones. A part of a class keeps its number, so that a round looks only at states that lead to another part.
 */
export function stateClasses(states: readonly StateEdges[], bytes: number): Uint16Array {
  const own = Uint16Array.from(states, (_, id) => id);
  const closures = closuresOf(states);
  if (closures === null) return own;
  const empty = leastSolution(states, mayBeEmpty);
  const before = statesBefore(states, closures);
  const partition = new Partition(states.length);
  const all = [...states.keys()];
  partition.split(all, (id) => lastSignature(states, closures[id]!, empty));
  let affected: Iterable<number> = all;
  let signatures = 0;
  for (let round = 0; round < bytes; round++) {
    const changed = partition.split(affected, (id) => {
      signatures++;
      return signature(states, closures[id]!, partition.classOf);
    });
    if (signatures > SIGNATURES) return own;
    if (changed.length === 0) break;
    affected = new Set(changed.flatMap((id) => before[id]!));
  }
  return partition.classOf;
}

/** States by class. */
class Partition {
  readonly classOf: Uint16Array;
  private readonly sizes = [0];

  constructor(states: number) {
    this.classOf = new Uint16Array(states);
    this.sizes[0] = states;
  }

  /**
   * Splits the classes of some states by their signatures. States of a class that are not among them have signatures unlike theirs, and keep their number.
   * Returns the states whose number changed.
   */
  split(ids: Iterable<number>, signatureOf: (id: number) => string): number[] {
    const byClass = new Map<number, Map<string, number[]>>();
    for (const id of ids) {
      const group = this.classOf[id]!;
      if (this.sizes[group] === 1) continue;
      const parts = byClass.get(group) ?? new Map<string, number[]>();
      byClass.set(group, parts);
      const of = signatureOf(id);
      const part = parts.get(of);
      if (part) part.push(id);
      else parts.set(of, [id]);
    }
    return [...byClass].flatMap(([group, parts]) => this.divide(group, [...parts.values()]));
  }

  private divide(group: number, parts: readonly number[][]): number[] {
    const all = parts.reduce((sum, { length }) => sum + length, 0);
    const others = this.sizes[group]! - all;
    // The largest part keeps the number if no other state does.
    const keeps = others > 0 ? null : parts.reduce((most, part) => (part.length > most.length ? part : most));
    const moved = parts.filter((part) => part !== keeps);
    for (const part of moved) {
      for (const id of part) this.classOf[id] = this.sizes.length;
      this.sizes.push(part.length);
      this.sizes[group]! -= part.length;
    }
    return moved.flat();
  }
}

/** By state: itself and the states that it reaches without a byte or a call; null if those are too many. */
function closuresOf(states: readonly StateEdges[]): number[][] | null {
  let left = CLOSURE_STATES;
  const closures: number[][] = [];
  for (const id of states.keys()) {
    const closure = new Set([id]);
    for (const reached of closure) for (const to of states[reached]!.epsilons) closure.add(to);
    left -= closure.size;
    if (left < 0) return null;
    closures.push([...closure]);
  }
  return closures;
}

/** Whether a call of a state may end without a byte. */
function mayBeEmpty({ epsilons, calls }: StateEdges, empty: readonly boolean[]): boolean {
  return epsilons.some((to) => empty[to]) || calls.some(({ start, to }) => empty[start] && empty[to]);
}

/** By state: the states from which one byte or one call leads to it. */
function statesBefore(states: readonly StateEdges[], closures: readonly number[][]): number[][] {
  const before: number[][] = states.map(() => []);
  for (const [id, closure] of closures.entries()) {
    for (const reached of closure) {
      for (const { to } of states[reached]!.bytes) before[to]!.push(id);
      for (const { to } of states[reached]!.calls) before[to]!.push(id);
    }
  }
  return before;
}

/**
 * What distinguishes a state before any byte: whether a text may end there, and whether any byte may follow. What follows a call that may end without a byte
 * would matter before that byte, so such calls are only alike if they are the same.
 */
function lastSignature(states: readonly StateEdges[], closure: readonly number[], empty: readonly boolean[]): string {
  const parts = new Set<string>();
  for (const id of closure) {
    const { bytes, calls, final } = states[id]!;
    if (final) parts.add('end');
    if (bytes.length > 0) parts.add('byte');
    for (const { start, to } of calls) parts.add(empty[start] ? `call ${start} ${to}` : 'byte');
  }
  return [...parts].sort().join();
}

/** The bytes that may follow a state, and its calls, with the classes that they lead to. */
function signature(states: readonly StateEdges[], closure: readonly number[], classOf: Uint16Array): string {
  const parts = new Set<string>();
  for (const id of closure) {
    for (const { first, last, to } of states[id]!.bytes) parts.add(`${first} ${last} ${classOf[to]}`);
    for (const { start, to } of states[id]!.calls) parts.add(`call ${start} ${classOf[to]}`);
  }
  return [...parts].sort().join();
}
