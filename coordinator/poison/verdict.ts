import type { Loss } from './loss.js';
import type { Convicted } from './request-name.js';

/**
 * Decides after a death whether it convicts a prompt. Pure.
 *
 * Only a death that a prompt witnessed alone convicts, and only together with an earlier one: other prompts there may be the cause, however many deaths a
 * prompt has witnessed. Deaths with an outside cause are independent of prompts, and hit a suspect only within its short probation. While
 * other deaths are unexplained, only a death at the point of an earlier one convicts, or one before the first new token. A killing shows by its
 * witnesses, which all prove harmless later; after several killings a conviction needs three deaths.
 */

/** Tokens beyond the point of a death that clear a suspect. Exceeds the tokens that a dying worker may have generated unseen. */
export const CLEARING_TOKENS = 16;
/** Two deaths that a prompt witnessed this close to each other in its answer happened at the same point of it. */
const SAME_POINT_TOKENS = 2;
/** Deaths that convict a prompt. */
export const CONVICTING_DEATHS = 2;
/** Deaths by no prompt within `KILLING_WINDOW_MS` that show that workers are killed from outside. One more death is then needed to convict. */
const KILLINGS = 3;
const KILLING_WINDOW_MS = 60_000;

/** The evidence for a verdict. */
export interface Evidence {
  readonly nowMs: number;
  readonly losses: readonly Loss[];
  /** The deaths that speak against a prompt. */
  deathsOf(prompt: string): readonly Loss[];
  /** Whether the request has run well before. */
  isProven(request: string): boolean;
  isConvicted(prompt: string): boolean;
}

/**
 * The conviction by a death; null if there is none. Where one request witnessed all deaths, others with its prompt may be harmless: they differ in
 * what else reaches the worker.
 */
export function convictedOf(last: Loss, evidence: Evidence): Convicted | null {
  const [prompt, ...company] = last.witnesses.keys();
  if (prompt === undefined || company.length > 0 || last.explained) return null;
  const deaths = evidence.deathsOf(prompt);
  if (!isConvincing(prompt, deaths, last, evidence)) return null;
  const [request, ...others] = new Set(deaths.map(({ witnesses }) => witnesses.get(prompt)!.request));
  return { prompt, request: others.length > 0 ? null : (request ?? null) };
}

/** Whether the deaths that a prompt has witnessed, `last` among them, are evidence enough against it. */
function isConvincing(prompt: string, deaths: readonly Loss[], last: Loss, evidence: Evidence): boolean {
  if (deaths.length < CONVICTING_DEATHS || !deaths.includes(last)) return false;
  const { request, tokens, placedMs, fresh } = last.witnesses.get(prompt)!;
  const again = deaths.some((loss) => loss !== last && placedMs >= loss.atMs);
  // Copies on two workers at once speak against the prompt only if both workers died at the same point of it.
  const alike = deaths.filter((loss) => Math.abs(loss.witnesses.get(prompt)!.tokens - tokens) <= CLEARING_TOKENS);
  if (!again && ((request !== null && evidence.isProven(request)) || alike.length < CONVICTING_DEATHS)) return false;
  const others = evidence.losses.filter((loss) => isUnexplained(loss, evidence) && !deaths.includes(loss));
  const killings = others.filter((loss) => isKilling(loss, evidence)).length;
  if (others.length === 0) return true;
  const isSamePoint = (loss: Loss) => Math.abs(loss.witnesses.get(prompt)!.tokens - tokens) <= SAME_POINT_TOKENS;
  if (fresh > 0 && !deaths.some((loss) => loss !== last && isSamePoint(loss))) return false;
  return killings < KILLINGS || deaths.length > CONVICTING_DEATHS;
}

/** Whether a worker died lately of an unknown cause. */
function isUnexplained(loss: Loss, { nowMs }: Evidence): boolean {
  return loss.fate === 'dead' && !loss.explained && loss.atMs > nowMs - KILLING_WINDOW_MS;
}

/** Whether an unexplained death was of no prompt: none that had begun there was convicted, or is a suspect any more. */
function isKilling(loss: Loss, { deathsOf, isConvicted }: Evidence): boolean {
  return ![...loss.witnesses.keys()].some((prompt) => isConvicted(prompt) || deathsOf(prompt).includes(loss));
}
