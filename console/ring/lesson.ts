import type { Happening } from '../../src/console/feed-messages.js';
import type { AnswerCost } from '../chat/stream-answer.js';
import type { RequestAttempt } from '../feed/request-trace.js';
import { counted, missText, refusedFrom, sendersOf, timeText } from '../parts/words.js';

/** The lesson from the answers to the sample prompt: explains a local hit, a remote hit, or the reason for a miss. Pure. */

/**
 * Explains the last answer to a newcomer.
 * @param earlier the answers to the same prompt before, oldest first
 * @param attempt what the coordinator and the worker told of it; null if this page does not know
 * @param happened newest first
 */
export function lessonOf(
  cost: AnswerCost,
  earlier: readonly AnswerCost[],
  attempt: RequestAttempt | null,
  happened: readonly Happening[],
): string {
  const { worker, cached } = cost;
  const first = earlier[0];
  if (first === undefined) {
    return `Nobody knew this prompt: ${worker} computed all of it, and keeps the K/V of its full blocks of 64 tokens.`;
  }
  const compared = timesText(cost, first);
  const known = earlier.some((answer) => answer.worker === worker);
  if (cached.remote > 0) return `${remoteText(cost, attempt)} ${compared}`;
  if (cached.local > 0 && known) {
    return `A local hit: ${worker} found the prompt in its own memory, and computed only the last ${counted(cached.computed, 'token')}. ${compared}`;
  }
  if (cached.local > 0) {
    return `A local hit on a worker that never computed this prompt: the fleet had copied the blocks to ${worker}, one of their homes, to survive a death. ${compared}`;
  }
  if (known) return `${worker} computed it again: its memory had no room to keep the blocks. ${compared}`;
  const from = attempt === null ? null : refusedFrom(attempt, happened);
  if (from !== null)
    return `No remote hit: ${worker} got blocks of ${from}, and saw by their digest that bytes were wrong. It refused them, and computed ${counted(cached.computed, 'token')} instead, so that the answer is right all the same.`;
  const reason = attempt === null ? null : missText(attempt, happened);
  return `No remote hit: ${worker} computed ${counted(cached.computed, 'token')}. ${reason === null ? '' : `${reason} `}A worker fetches only what takes longer to compute by its measurements, and gives up a fetch that begins too slowly: with this small model a computation is short, and a busy machine delays fetches. Ask again in half a minute, or another worker. With larger models and longer prompts a fetch nearly always wins.`;
}

/** Whether the blocks were fetched now, or had come as copies: until the worker has told, neither is known. */
function remoteText({ worker, cached }: AnswerCost, attempt: RequestAttempt | null): string {
  const senders = attempt === null ? [] : sendersOf(attempt);
  const names = senders.map((each) => each.worker).join(' and ');
  const tokens = counted(cached.remote, 'token');
  const rest = `computed only ${counted(cached.computed, 'token')}.`;
  if (senders.length > 0 && senders.every(({ blocks, copied }) => blocks === copied))
    return `A remote hit without a fetch: the fleet keeps more than one copy of a block, and ${names} had already sent ${worker} those of ${tokens}. It ${rest}`;
  const from = senders.length === 0 ? 'another worker' : names;
  return `A remote hit: ${worker} got the K/V of ${tokens} from the memory of ${from} instead of computing it, and ${rest}`;
}

function timesText(cost: AnswerCost, first: AnswerCost): string {
  return `First token after ${timeText(cost.ttft_ms)}; computed from nothing it took ${timeText(first.ttft_ms)}.`;
}
