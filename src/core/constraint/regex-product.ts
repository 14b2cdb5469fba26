import { InvalidRequest } from '../../errors.js';
import { type CharSet, intersection } from './char-set.js';
import type { ProgramBuilder } from './program.js';
import { addRepeat, type WriteChars } from './regex-states.js';
import type { Regex } from './regex-syntax.js';

/**
 * The texts that several regular expressions match: the states of two are pairs of their states, each pair with the characters that both take (Rabin
 * and Scott, 1959).
 */

/** Limit on the pairs of states: bounds of length multiply the states of a pattern. */
const PAIRS = 8_192;
/** Limit on the steps between states, of one expression, and on those that two have to be compared: each of many optional parts leads to all behind it. */
const STEPS = 2 ** 20;

/** One state of an automaton without empty steps, which is a list of states: the first is the start, and there is none if it takes no text. */
interface Node {
  readonly steps: { readonly set: CharSet; readonly to: number }[];
  readonly ends: boolean;
}

/** A state of each of two automata. */
interface Pair {
  readonly a: number;
  readonly b: number;
  readonly ends: boolean;
  readonly steps: { readonly set: CharSet; readonly to: Pair }[];
  readonly before: Pair[];
  /** Whether a text can end from here. */
  leads: boolean;
}

/**
 * Adds the states of the texts that all expressions match as a whole. Adds nothing if there are none.
 * @throws InvalidRequest for `^` and `$` within an expression, and for too many states
 */
export function addAllOf(
  builder: ProgramBuilder,
  expressions: readonly Regex[],
  from: number,
  to: number,
  writeChars: WriteChars,
): void {
  const nodes = expressions.map(nodesOf).reduce(both);
  const states = nodes.map(() => builder.state());
  for (const [i, { steps, ends }] of nodes.entries()) {
    if (i === 0) builder.epsilon(from, states[i]!);
    if (ends) builder.epsilon(states[i]!, to);
    for (const { set, to: next } of steps) writeChars(states[i]!, set, states[next]!);
  }
}

/** The automaton of the texts that both take. */
function both(a: readonly Node[], b: readonly Node[]): Node[] {
  if (a.length === 0 || b.length === 0) return [];
  const pairs = reachable(a, b);
  markLeading(pairs);
  if (!pairs[0]!.leads) return [];
  const leading = pairs.filter(({ leads }) => leads);
  const ids = new Map(leading.map((pair, i) => [pair, i]));
  return leading.map(({ steps, ends }) => ({
    steps: steps.flatMap(({ set, to }) => (to.leads ? [{ set, to: ids.get(to)! }] : [])),
    ends,
  }));
}

/** All pairs of states that some text leads to; the start is the first. */
function reachable(a: readonly Node[], b: readonly Node[]): Pair[] {
  const known = new Map<number, Pair>();
  const pairs: Pair[] = [];
  const pairOf = (i: number, j: number): Pair => {
    const id = i * b.length + j;
    const seen = known.get(id);
    if (seen !== undefined) return seen;
    if (pairs.length >= PAIRS) throw tooMany();
    const pair = { a: i, b: j, ends: a[i]!.ends && b[j]!.ends, steps: [], before: [], leads: false };
    known.set(id, pair);
    pairs.push(pair);
    return pair;
  };
  pairOf(0, 0);
  let compared = 0;
  // Grows while it is walked.
  for (const pair of pairs) {
    compared += a[pair.a]!.steps.length * b[pair.b]!.steps.length;
    if (compared > STEPS) throw tooMany();
    for (const one of a[pair.a]!.steps) {
      for (const other of b[pair.b]!.steps) {
        const set = intersection(one.set, other.set);
        if (set.length === 0) continue;
        const next = pairOf(one.to, other.to);
        pair.steps.push({ set, to: next });
        next.before.push(pair);
      }
    }
  }
  return pairs;
}

function tooMany(): InvalidRequest {
  return new InvalidRequest('has too many states together with the format or the length; leave one of them out');
}

/** Marks the pairs from which a text can end: the others would be dead ends. */
function markLeading(pairs: readonly Pair[]): void {
  const open = pairs.filter(({ ends }) => ends);
  for (const pair of open) pair.leads = true;
  for (let pair = open.pop(); pair !== undefined; pair = open.pop()) {
    for (const before of pair.before) {
      if (before.leads) continue;
      before.leads = true;
      open.push(before);
    }
  }
}

/** The automaton of an expression; the start is the first state. */
function nodesOf(regex: Regex): Node[] {
  const automaton = new Automaton();
  const [start, end] = [automaton.state(), automaton.state()];
  automaton.add(regex, start, end);
  return automaton.nodes(start, end);
}

/** The states of an expression, with empty steps between them. */
class Automaton {
  private readonly empties: number[][] = [];
  private readonly steps: { set: CharSet; to: number }[][] = [];

  state(): number {
    if (this.steps.length >= PAIRS) throw new InvalidRequest('has too many states; use fewer repetitions');
    this.empties.push([]);
    return this.steps.push([]) - 1;
  }

  epsilon(from: number, to: number): void {
    this.empties[from]!.push(to);
  }

  add(regex: Regex, from: number, to: number): void {
    switch (regex.type) {
      case 'chars':
        this.steps[from]!.push({ set: regex.set, to });
        return;
      case 'edge':
        throw new InvalidRequest('has ^ or $ within; they can be honoured at the ends of the expression');
      case 'choice':
        for (const option of regex.options) this.add(option, from, to);
        return;
      case 'sequence': {
        let at = from;
        for (const item of regex.items) {
          const next = this.state();
          this.add(item, at, next);
          at = next;
        }
        this.epsilon(at, to);
        return;
      }
      case 'repeat':
        addRepeat(this, regex, from, to, (start, end) => this.add(regex.item, start, end));
        return;
    }
  }

  /** Without empty steps, and without states that no text leads to. */
  nodes(start: number, end: number): Node[] {
    const ids = new Map([[start, 0]]);
    const open = [start];
    const nodes: Node[] = [];
    let walked = 0;
    for (const state of open) {
      const closure = this.closure(state);
      walked += closure.size;
      if (walked > STEPS) throw tooMany();
      const steps = [...closure].flatMap((one) => this.steps[one]!);
      for (const { to } of steps) {
        if (ids.has(to)) continue;
        ids.set(to, ids.size);
        open.push(to);
      }
      nodes.push({ steps: steps.map(({ set, to }) => ({ set, to: ids.get(to)! })), ends: closure.has(end) });
    }
    return nodes;
  }

  private closure(state: number): Set<number> {
    const reached = new Set([state]);
    for (const one of reached) for (const next of this.empties[one]!) reached.add(next);
    return reached;
  }
}
