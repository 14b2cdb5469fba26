import type { CandidateCost, Happening, PlacedStep, SentBlocks, StartedStep } from '../../src/console/feed-messages.js';
import {
  firstTokenMs,
  type RequestAttempt,
  type RequestTrace,
  resumedOf,
  workerOfAttempt,
} from '../feed/request-trace.js';
import { lossOf } from '../parts/moves.js';
import { counted, missText, sendersOf, timeText } from '../parts/words.js';

/** The way of one request, step by step, in words. Pure. */

export type WayKind = 'placed' | 'local' | 'remote' | 'computed' | 'streamed' | 'failed';

export interface WayStep {
  readonly kind: WayKind;
  readonly title: string;
  readonly text: string;
}

/** The steps so far, in order. @param happened newest first */
export function wayOf(trace: RequestTrace, happened: readonly Happening[]): WayStep[] {
  const { attempts, ended } = trace;
  const steps = attempts.flatMap((attempt, index) => stepsOf(trace, attempt, attempts[index + 1], happened));
  if (ended?.outcome === 'failed') steps.push({ kind: 'failed', title: 'Failed', text: 'The client got an error.' });
  if (ended?.outcome === 'cancelled') steps.push({ kind: 'failed', title: 'Cancelled', text: 'The client went away.' });
  return steps;
}

function stepsOf(
  trace: RequestTrace,
  attempt: RequestAttempt,
  next: RequestAttempt | undefined,
  happened: readonly Happening[],
): WayStep[] {
  const { placed, started } = attempt;
  const over = next !== undefined || trace.ended !== null;
  const steps = placed === null ? [] : [placedStep(placed)];
  if (started !== null) steps.push(...prefixSteps(trace, attempt, started, over, happened));
  const streamed = streamedStep(trace, attempt, next);
  if (streamed !== null) steps.push(streamed);
  if (next !== undefined) steps.push(lostStep(attempt, next, happened));
  return steps;
}

function placedStep({ worker, candidates }: PlacedStep): WayStep {
  const chosen = candidates.find((candidate) => candidate.worker === worker);
  const other = candidates.find((candidate) => candidate.worker !== worker);
  const costs = chosen === undefined ? '' : ` ${costText(chosen)}`;
  const against = chosen === undefined || other === undefined ? '' : ` ${otherText(chosen, other)}`;
  return { kind: 'placed', title: 'Placed', text: `On ${worker}.${costs}${against}` };
}

function costText({ cost_ms: cost, local, remote, compute }: CandidateCost): string {
  const has = local > 0 ? [`has ${counted(local, 'block')}`] : [];
  const work = [
    remote > 0 ? `fetch ${counted(remote, 'block')}` : null,
    compute > 0 ? `compute ${counted(compute, 'token')}` : null,
  ].filter((part) => part !== null);
  const parts = work.length === 0 ? has : [...has, `would ${work.join(' and ')}`];
  return `Estimated cost ${timeText(cost)}${parts.length === 0 ? '' : `: it ${parts.join(', and ')}`}.`;
}

function otherText(chosen: CandidateCost, other: CandidateCost): string {
  const cost = timeText(other.cost_ms);
  if (other.cost_ms < chosen.cost_ms)
    return `${other.worker} would have cost ${cost}, but was not asked for or not reached.`;
  return `The next best, ${other.worker}, would have cost ${cost}.`;
}

/** Where the K/V came from. A worker that continues an answer finds or computes the answer so far like a prompt. */
function prefixSteps(
  trace: RequestTrace,
  attempt: RequestAttempt,
  started: StartedStep,
  over: boolean,
  happened: readonly Happening[],
): WayStep[] {
  const { local, remote, computed } = started.cached;
  const steps: WayStep[] = [];
  if (local > 0)
    steps.push({ kind: 'local', title: 'Found', text: `${counted(local, 'token')} ${tierText(attempt, started)}.` });
  if (remote > 0) steps.push(remoteStep(counted(remote, 'token'), sendersOf(attempt)));
  const missed = missText(attempt, happened);
  if (missed !== null) steps.push({ kind: 'computed', title: 'Not found', text: missed });
  if (computed > 0) {
    const { firstAt } = attempt;
    const lasted = firstAt !== null ? ` in ${timeText(firstAt - started.at)}` : over ? '' : ' so far';
    steps.push({ kind: 'computed', title: 'Computed', text: `${counted(computed, 'token')}${lasted}.` });
  }
  const resumed = resumedOf(attempt);
  const last = steps.at(-1);
  if (resumed > 0 && last !== undefined) {
    const prompt = trace.promptTokens === null ? 'the prompt' : `${counted(trace.promptTokens, 'token')} of the prompt`;
    const text = `${last.text} In all: ${prompt} and ${counted(resumed, 'token')} of the answer.`;
    steps[steps.length - 1] = { ...last, text };
  }
  return steps;
}

/** The worker tells of its lower tiers; what it does not tell of was in its device memory. */
function tierText({ found }: RequestAttempt, { worker }: StartedStep): string {
  const [host, disk] = found === null ? [0, 0] : [found.host, found.disk];
  const lower = [
    host > 0 ? `${counted(host, 'block')} of them in host memory` : null,
    disk > 0 ? `${counted(disk, 'block')} of them on its disk` : null,
  ].filter((part) => part !== null);
  return [`in the memory of ${worker}`, ...lower].join(', ');
}

/** Blocks from other workers were fetched for this request, or had come before as copies: until the worker has told, neither is known. */
function remoteStep(tokens: string, senders: readonly SentBlocks[]): WayStep {
  if (senders.length === 0) return { kind: 'remote', title: 'Received', text: `${tokens} from another worker.` };
  const name = ({ worker, blocks }: SentBlocks) =>
    senders.length === 1 ? worker : `${worker} (${counted(blocks, 'block')})`;
  const names = senders.map(name).join(', ');
  if (senders.every(({ copied }) => copied === 0))
    return { kind: 'remote', title: 'Fetched', text: `${tokens} from ${names}.` };
  if (senders.every(({ blocks, copied }) => blocks === copied))
    return { kind: 'remote', title: 'Had copies', text: `${tokens}, which ${names} had sent before.` };
  const parts = senders.map(({ worker, blocks, copied }) => {
    const how = [
      blocks > copied ? `${counted(blocks - copied, 'block')} fetched from ${worker}` : null,
      copied > 0 ? `${counted(copied, 'block')} that ${worker} had sent before as copies` : null,
    ];
    return how.filter((part) => part !== null).join(', ');
  });
  return { kind: 'remote', title: 'Received', text: `${tokens}: ${parts.join(', ')}.` };
}

/** Null if there is nothing to say yet. The page may have opened after the first token. */
function streamedStep(trace: RequestTrace, attempt: RequestAttempt, next: RequestAttempt | undefined): WayStep | null {
  const { firstAt } = attempt;
  const { ended } = trace;
  const before = resumedOf(attempt);
  const isFirst = attempt === trace.attempts.find((each) => each.firstAt !== null);
  const firstMs = isFirst ? firstTokenMs(trace) : null;
  const first = firstMs === null ? '' : `First token after ${timeText(firstMs)}; `;
  const upTo = next === undefined ? ended?.tokens : resumedOf(next);
  const endAt = next === undefined ? ended?.at : undefined;
  if (upTo === undefined)
    return firstAt === null ? null : { kind: 'streamed', title: 'Streamed', text: `${first}the answer goes on.` };
  const tokens = upTo - before;
  if (firstAt === null && tokens <= 0) return null;
  const lasted = firstAt === null || endAt === undefined ? '' : ` within ${timeText(endAt - firstAt)}`;
  const whole = before > 0 && next === undefined ? `, ${counted(upTo, 'token')} in all` : '';
  return {
    kind: 'streamed',
    title: 'Streamed',
    text: `${first}${counted(tokens, 'token')}${before > 0 ? ' more' : ''}${lasted}${whole}.`,
  };
}

function lostStep(attempt: RequestAttempt, next: RequestAttempt, happened: readonly Happening[]): WayStep {
  const [worker, other] = [workerOfAttempt(attempt) ?? 'A worker', workerOfAttempt(next) ?? 'another worker'];
  if (resumedOf(next) > resumedOf(attempt)) {
    const how = lossOf(attempt, happened);
    const title = how === 'died' ? 'Died' : 'Lost';
    const text = `${worker} ${how} after ${counted(resumedOf(next), 'token')} of the answer; ${other} continues from there.`;
    return { kind: 'failed', title, text };
  }
  const text = `${worker} ${attempt.started === null ? 'did not begin' : 'gave no token'}; ${other} takes over.`;
  return { kind: 'failed', title: 'Moved', text };
}
