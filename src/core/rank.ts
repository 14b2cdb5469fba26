/** The order of a worker's processes and of their refutations, which needs no clock. */

/** One process among all that have had a worker's ID. */
export interface ProcessRank {
  /** Higher for later processes of the ID. */
  readonly generation: number;
  /** Fresh for each of them. Decides between processes that took the same generation. */
  readonly incarnation: string;
}

/** A process, and how often it has refuted that it is gone. */
export interface Rank extends ProcessRank {
  readonly refutation: number;
}

/** Negative if `a` is the earlier process of an ID, positive if `b` is, 0 if they are the same. */
export function compareProcesses(a: ProcessRank, b: ProcessRank): number {
  if (a.incarnation === b.incarnation) return 0;
  if (a.generation !== b.generation) return a.generation - b.generation;
  return a.incarnation < b.incarnation ? -1 : 1;
}

/** As `compareProcesses`, and by their own numbers if both name the same one. */
export function compareRanks(a: Rank, b: Rank): number {
  return compareProcesses(a, b) || a.generation - b.generation || a.refutation - b.refutation;
}

export function rankOf({ generation, incarnation, refutation }: Rank): Rank {
  return { generation, incarnation, refutation };
}
