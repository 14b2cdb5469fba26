import type { GraphTrial } from '../core/graph-trial.js';
import type { KvLayout } from '../core/kv-layout.js';
import type { ModelGraph } from './model-graph.js';
import { stepsDiffer } from './trial-run.js';

/** Whether tokens of an answer can be guessed and computed together, so that the answer stays the same. */

/** What decides about a graph. */
type Guessable = Pick<ModelGraph, 'kind' | 'dependence' | 'layout' | 'lastLogitsOnly'>;

/** Why several tokens of an answer cannot be computed together, and some of them taken back; null if they can. */
export function whyNotGuessed({ kind, dependence, layout, lastLogitsOnly }: Guessable): string | null {
  if (kind === 'hand-on') return 'it joins past and new K/V, so that tokens cannot be taken back';
  if (layout.states !== undefined) return 'it has layers with states, which cannot be taken back';
  if (dependence.kind !== 'prefix') return 'the K/V of a token depends on more than the tokens before it';
  return lastLogitsOnly ? 'it computes the logits of the last position alone' : null;
}

/** Says that `--speculate` has no effect, and why; null if it has one, or is off. */
export function speculationNotice(
  graph: Guessable,
  trial: GraphTrial | null,
  layout: Pick<KvLayout, 'elementType'>,
): string | null {
  const differs = trial !== null && stepsDiffer(trial, layout);
  const why = whyNotGuessed(graph) ?? (differs ? 'it computes other numbers for several tokens than for one' : null);
  return why === null ? null : `--speculate has no effect on this graph: ${why}`;
}
