import { SUSPECT_AFTER_MS } from '../limits.js';
import { compareProcesses, compareRanks, type ProcessRank, type Rank } from './rank.js';

/**
 * The rank under which a worker announces itself, and the rules by which the rank rises.
 *
 * A worker that was declared dead refutes that by a higher number, as in SWIM (Das, Gupta, Motivala 2002). A refutation never outranks a later
 * process of the same ID. A generation normally comes from a counter of the fleet. If it is lower than one that the fleet has seen, because the
 * fleet has no counter or lost it, the process takes a higher one: at once if it is new and has none, else once the other process is silent.
 */

/** Time after its start during which a process without a generation from the fleet counts as later than any process that members know. */
const NEW_PROCESS_MS = 5_000;
/** Time within which a live later process is heard, even over a bus that loses messages. A process silent for longer counts as ended. */
const RIVAL_SILENCE_MS = 2 * SUSPECT_AFTER_MS;

/** The rank of this process, with the state that decides its next rise. Its generation is 0 if none came from the fleet. */
export interface OwnRank extends Rank {
  readonly id: string;
  readonly startedAtMs: number;
  /** A process of the same ID that others have heard and this process has not. */
  readonly rival: { readonly incarnation: string; readonly sinceMs: number } | null;
}

/** The rank of a process that starts now. */
export function firstRank(id: string, process: ProcessRank, nowMs: number): OwnRank {
  const { generation, incarnation } = process;
  return { id, generation, incarnation, refutation: 0, startedAtMs: nowMs, rival: null };
}

/** Whether an announcement with this worker's ID belongs to a process other than this one. */
export function isRival(own: OwnRank | null, said: Rank & { readonly id: string }): own is OwnRank {
  return own !== null && said.id === own.id && said.incarnation !== own.incarnation;
}

/**
 * The rank after a member has refused this worker's announcements. `latest` is the latest rank of its ID that the member knows. The result is
 * `own` itself if it needs no answer.
 */
export function afterRefusal(own: OwnRank, latest: Rank, nowMs: number): OwnRank {
  if (latest.incarnation === own.incarnation)
    return compareRanks(latest, own) === 0 ? { ...own, refutation: own.refutation + 1 } : own;
  if (compareProcesses(latest, own) < 0) return own;
  if (own.generation === 0 && nowMs - own.startedAtMs < NEW_PROCESS_MS) return above(own, latest);
  // A live later process announces itself, and fences this one off.
  const { rival } = own;
  if (rival?.incarnation !== latest.incarnation)
    return { ...own, rival: { incarnation: latest.incarnation, sinceMs: nowMs } };
  return nowMs - rival.sinceMs > RIVAL_SILENCE_MS ? above(own, latest) : own;
}

function above(own: OwnRank, { generation }: ProcessRank): OwnRank {
  return { ...own, generation: generation + 1, rival: null };
}
