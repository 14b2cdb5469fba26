import type { CandidateCost, PlacedStep, StartedStep } from '../../src/console/feed-messages.js';
import { firstTokenMs, type RequestTrace } from '../feed/request-trace.js';
import { counted, sourceOf, timeText } from '../parts/words.js';

/** The way of one request, step by step, in words. Pure. */

export type WayKind = 'placed' | 'local' | 'remote' | 'computed' | 'streamed' | 'failed';

export interface WayStep {
  readonly kind: WayKind;
  readonly title: string;
  readonly text: string;
}

/** The steps so far, in order. */
export function wayOf(trace: RequestTrace): WayStep[] {
  const { placements, started, firstAt, ended } = trace;
  const steps = placements.map(placedStep);
  if (started !== null) {
    const { local, remote, computed } = started.cached;
    if (local > 0) {
      steps.push({ kind: 'local', title: 'Found', text: `${counted(local, 'token')} ${tierText(trace, started)}.` });
    }
    if (remote > 0)
      steps.push({ kind: 'remote', title: 'Fetched', text: `${counted(remote, 'token')} ${fetchedFrom(trace)}.` });
    if (local + remote === 0) steps.push(missedStep(trace, started));
    const lasted = firstAt === null ? 'so far' : `in ${timeText(firstAt - started.at)}`;
    if (computed > 0)
      steps.push({ kind: 'computed', title: 'Computed', text: `${counted(computed, 'token')} ${lasted}.` });
  }
  if (firstAt !== null) steps.push(streamedStep(trace, firstAt));
  if (ended?.outcome === 'failed') steps.push({ kind: 'failed', title: 'Failed', text: 'The client got an error.' });
  if (ended?.outcome === 'cancelled') steps.push({ kind: 'failed', title: 'Cancelled', text: 'The client went away.' });
  return steps;
}

/** The request to show: the newest of the worker, or of all workers; of those that are placed already. Undefined if there is none. */
export function newestOf(traces: ReadonlyMap<number, RequestTrace>, worker: string | null): RequestTrace | undefined {
  return [...traces.values()].findLast(
    ({ placements }) => placements.length > 0 && (worker === null || placements.at(-1)!.worker === worker),
  );
}

function placedStep({ worker, resumed, candidates }: PlacedStep): WayStep {
  const chosen = candidates.find((candidate) => candidate.worker === worker);
  const other = candidates.find((candidate) => candidate.worker !== worker);
  const moved = resumed > 0 ? `, after ${counted(resumed, 'token')} of the answer from a worker that was lost` : '';
  const costs = chosen === undefined ? '' : ` ${costText(chosen)}`;
  const against = chosen === undefined || other === undefined ? '' : ` ${otherText(chosen, other)}`;
  return { kind: 'placed', title: 'Placed', text: `On ${worker}${moved}.${costs}${against}` };
}

function costText({ cost_ms: cost, local, remote, compute }: CandidateCost): string {
  const parts = [
    local > 0 ? `it has ${counted(local, 'block')}` : null,
    remote > 0 ? `would fetch ${remote}` : null,
    compute > 0 ? `would compute ${counted(compute, 'token')}` : null,
  ].filter((part) => part !== null);
  return `Estimated cost ${timeText(cost)}${parts.length === 0 ? '' : `: ${parts.join(', ')}`}.`;
}

function otherText(chosen: CandidateCost, other: CandidateCost): string {
  const cost = timeText(other.cost_ms);
  if (other.cost_ms < chosen.cost_ms)
    return `${other.worker} would have cost ${cost}, but was not asked for or not reached.`;
  return `The next best, ${other.worker}, would have cost ${cost}.`;
}

/** The worker tells of its lower tiers; what it does not tell of was in its device memory. */
function tierText({ found }: RequestTrace, { worker }: StartedStep): string {
  const [host, disk] = found?.worker === worker ? [found.host, found.disk] : [0, 0];
  const lower = [
    host > 0 ? `${counted(host, 'block')} of them in host memory` : null,
    disk > 0 ? `${counted(disk, 'block')} of them on its disk` : null,
  ].filter((part) => part !== null);
  return [`in the memory of ${worker}`, ...lower].join(', ');
}

/** Before the worker has told who gave the blocks, the coordinator knows who could, and in which order they are asked. */
function fetchedFrom(trace: RequestTrace): string {
  const told = trace.found?.worker === trace.started?.worker ? (trace.found?.from ?? []) : [];
  if (told.length === 1) return `from ${told[0]!.worker}`;
  if (told.length > 1)
    return `from ${told.map(({ worker, blocks }) => `${worker} (${counted(blocks, 'block')})`).join(', ')}`;
  const source = sourceOf(trace);
  const others = (trace.placements.at(-1)?.sources.length ?? 0) - 1;
  if (source === null) return 'from another worker';
  return others > 0 ? `from ${source}, or from another of ${others + 1} workers that had them` : `from ${source}`;
}

/** A worker may have meant to fetch blocks, and have seen that computing them is faster. */
function missedStep({ placements }: RequestTrace, { worker }: StartedStep): WayStep {
  const chosen = placements.at(-1)?.candidates.find((candidate) => candidate.worker === worker);
  const expected = (chosen?.local ?? 0) + (chosen?.remote ?? 0);
  const text =
    expected === 0
      ? 'No worker had a block of this prompt.'
      : `${counted(expected, 'block')} could have been had, but computing was faster, or they were gone or came too slowly.`;
  return { kind: 'computed', title: 'Not found', text };
}

function streamedStep(trace: RequestTrace, firstAt: number): WayStep {
  const firstMs = firstTokenMs(trace);
  const first = firstMs === null ? '' : `First token after ${timeText(firstMs)}`;
  const { ended } = trace;
  const all =
    ended === null
      ? 'the answer goes on'
      : `${counted(ended.tokens, 'token')} within ${timeText(ended.at - firstAt)} more`;
  return { kind: 'streamed', title: 'Streamed', text: `${first === '' ? '' : `${first}; `}${all}.` };
}
