import type { AnswerCost } from '../chat/stream-answer.js';
import { counted, timeText } from '../parts/words.js';

/** The lesson from the answers to the sample prompt: explains a local hit, a remote hit, or the reason for a miss. Pure. */

/**
 * Explains the last answer to a newcomer.
 * @param earlier the answers to the same prompt before, oldest first
 */
export function lessonOf(cost: AnswerCost, earlier: readonly AnswerCost[]): string {
  const { worker, cached } = cost;
  const first = earlier[0];
  if (first === undefined) {
    return `Nobody knew this prompt: ${worker} computed all of it, and keeps the K/V of its full blocks of 64 tokens.`;
  }
  const compared = timesText(cost, first);
  const known = earlier.some((answer) => answer.worker === worker);
  if (cached.remote > 0) {
    return `A remote hit: ${worker} had never seen this prompt. It fetched the K/V of ${counted(cached.remote, 'token')} from the memory of another worker instead of computing it, and computed only ${counted(cached.computed, 'token')}. ${compared}`;
  }
  if (cached.local > 0 && known) {
    return `A local hit: ${worker} found the prompt in its own memory, and computed only the last ${counted(cached.computed, 'token')}. ${compared}`;
  }
  if (cached.local > 0) {
    return `A local hit on a worker that never computed this prompt: the fleet had copied the blocks to ${worker}, one of their homes, to survive a death. ${compared}`;
  }
  if (known) return `${worker} computed it again: its memory had no room to keep the blocks. ${compared}`;
  return `No remote hit: ${worker} could have fetched the blocks from another worker, but computed ${counted(cached.computed, 'token')}. A worker fetches only what takes longer to compute by its measurements, and gives up a fetch that begins too slowly: with this small model a computation is short, and a busy machine delays fetches. Ask again in half a minute, or another worker. With larger models and longer prompts a fetch nearly always wins.`;
}

function timesText(cost: AnswerCost, first: AnswerCost): string {
  return `First token after ${timeText(cost.ttft_ms)}; computed from nothing it took ${timeText(first.ttft_ms)}.`;
}
