import { type FlatNode, flatGraph } from './flat-nodes.js';
import type { Graph } from './graph.js';

/** Finds outputs with K/V from which a graph cuts tokens, as a graph does that keeps a window. */

/** Operators on the way from past K/V to present ones. */
const PASSING = new Set('Cast Concat Expand Identity Reshape Slice Squeeze Transpose Unsqueeze'.split(' '));
const PRESENT = /^present(_key_values)?\.\d+\.(key|value)$/;
const PAST = /^past_key_values\.\d+\.(key|value)$/;
const MAX_CHAIN = 64;

/** The first output whose K/V is the past one but for some of its tokens; null if there is none. */
export function shortenedKv(graph: Graph): string | null {
  const { nodes, constants } = flatGraph(graph);
  const producers = new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const seen = new Map<string, boolean>();

  /** Whether past K/V reaches a tensor; with `isCut`, only by a Slice that drops its first tokens. */
  function reaches(tensor: string, isCut: boolean, depth = 0): boolean {
    if (PAST.test(tensor)) return !isCut;
    const key = `${isCut} ${tensor}`;
    const known = seen.get(key);
    if (known !== undefined || depth > MAX_CHAIN) return known ?? false;
    const node = producers.get(tensor);
    let found = false;
    if (node !== undefined && PASSING.has(node.opType)) {
      const inputs = node.opType === 'Concat' ? node.inputs : node.inputs.slice(0, 1);
      const cutsHere = isCut && node.opType === 'Slice' && dropsFirst(node);
      found = inputs.some((input) => reaches(input, isCut && !cutsHere, depth + 1));
    }
    seen.set(key, found);
    return found;
  }

  /** Whether a Slice starts elsewhere than at the first token. The last of the four axes has no tokens. */
  function dropsFirst({ inputs, integers }: FlatNode): boolean {
    const axis = constants.get(inputs[3] ?? '')?.scalar ?? integers.get('axes')?.[0];
    const start = constants.get(inputs[1] ?? '')?.scalar ?? integers.get('starts')?.[0];
    return axis !== 3 && axis !== -1 && start !== 0;
  }

  const outputs = graph.outputs.map(({ name }) => name).filter((name) => PRESENT.test(name));
  return outputs.find((output) => reaches(output, true)) ?? null;
}
