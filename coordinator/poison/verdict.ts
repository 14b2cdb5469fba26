import type { Loss } from './loss.js';

/**
 * Decides after a death which prompt caused it, if that is certain enough. Pure.
 *
 * Deaths that somebody else causes are independent of prompts. Such a death hits a suspect wrongly only within its short probation. After
 * another unexplained death only a death before the first new token convicts; after several, somebody is killing workers, and a conviction
 * needs three deaths.
 */

/** Tokens beyond the point of a death that clear a suspect. Exceeds the tokens that a dying worker may have generated unseen. */
export const CLEARING_TOKENS = 16;
/** Deaths that convict a prompt. */
const CONVICTING_DEATHS = 2;
/** Other unexplained deaths within `KILLING_WINDOW_MS` that show that somebody kills workers. One more death is then needed to convict. */
const KILLINGS = 3;
const KILLING_WINDOW_MS = 60_000;

/** The evidence for a verdict. */
export interface Evidence {
  readonly nowMs: number;
  readonly losses: readonly Loss[];
  /** The deaths that speak against a prompt. */
  deathsOf(prompt: string): readonly Loss[];
  /** Whether the prompt has run well before. */
  isProven(prompt: string): boolean;
}

/** The prompt that is convicted by a death; null if none is. */
export function convictedOf(last: Loss, evidence: Evidence): string | null {
  const convincing = [...last.witnesses.keys()]
    .map((prompt) => ({ prompt, deaths: evidence.deathsOf(prompt) }))
    .filter(({ prompt, deaths }) => isConvincing(prompt, deaths, last, evidence))
    .sort((a, b) => b.deaths.length - a.deaths.length);
  const [first, second] = convincing;
  return first !== undefined && first.deaths.length > (second?.deaths.length ?? 0) ? first.prompt : null;
}

/** Whether the deaths that a prompt has witnessed, `last` among them, are evidence enough against it. */
function isConvincing(prompt: string, deaths: readonly Loss[], last: Loss, evidence: Evidence): boolean {
  if (deaths.length < CONVICTING_DEATHS) return false;
  const { tokens, placedMs, fresh } = last.witnesses.get(prompt)!;
  const again = deaths.some((loss) => loss !== last && placedMs >= loss.atMs);
  // Copies on two workers at once speak against the prompt only if both workers died at the same point of it.
  const alike = deaths.filter((loss) => Math.abs(loss.witnesses.get(prompt)!.tokens - tokens) <= CLEARING_TOKENS);
  if (!again && (evidence.isProven(prompt) || alike.length < CONVICTING_DEATHS)) return false;
  const sinceMs = evidence.nowMs - KILLING_WINDOW_MS;
  const others = evidence.losses.filter(
    (loss) => loss.fate === 'dead' && !loss.explained && loss.atMs > sinceMs && !deaths.includes(loss),
  );
  if (others.length === 0) return true;
  return fresh === 0 && (others.length < KILLINGS || deaths.length > CONVICTING_DEATHS);
}
