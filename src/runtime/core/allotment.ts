import { amountOf, fits, GPU, minus, plus, type Resources } from './resources.js';

/** The resources of one node: the total, the free part, and the assignment of GPUs. Pure. */

export interface Allotment {
  readonly total: Resources;
  readonly free: Resources;
  /** The free share of each GPU, 0 to 1, by id. */
  readonly gpus: ReadonlyMap<string, number>;
}

/** The resources of one actor or task. */
export interface Grant {
  readonly resources: Resources;
  /** Ids of its GPUs. A share of a GPU is on one GPU. */
  readonly gpuIds: readonly string[];
}

/** `gpuShare`: how much of each GPU there is, 0 to 1. */
export function newAllotment(total: Resources, gpuIds: readonly string[], gpuShare = 1): Allotment {
  return { total, free: total, gpus: new Map(gpuIds.map((id) => [id, gpuShare])) };
}

/** Takes resources; null if they are not free, or if no GPU has a large enough share left. */
export function take(allotment: Allotment, demand: Resources): { allotment: Allotment; grant: Grant } | null {
  if (!fits(demand, allotment.free)) return null;
  const gpuIds = chosenGpus(allotment.gpus, amountOf(demand, GPU));
  if (gpuIds === null) return null;
  const share = shareOf(demand);
  const gpus = new Map(allotment.gpus);
  for (const id of gpuIds) gpus.set(id, gpus.get(id)! - share);
  return {
    allotment: { ...allotment, free: minus(allotment.free, demand), gpus },
    grant: { resources: demand, gpuIds },
  };
}

/** Gives back what `take` granted. To be called once for each grant. */
export function giveBack(allotment: Allotment, { resources, gpuIds }: Grant): Allotment {
  const share = shareOf(resources);
  const gpus = new Map(allotment.gpus);
  for (const id of gpuIds) gpus.set(id, Math.min(1, (gpus.get(id) ?? 0) + share));
  return { ...allotment, free: plus(allotment.free, resources), gpus };
}

/** The share of each of its GPUs that a demand takes. */
function shareOf(demand: Resources): number {
  const amount = amountOf(demand, GPU);
  return Math.min(amount, 1);
}

/** Whole GPUs, or the GPU with the least room that is enough, so that whole ones stay whole. */
function chosenGpus(gpus: ReadonlyMap<string, number>, amount: number): string[] | null {
  if (amount === 0 || gpus.size === 0) return [];
  const enough = [...gpus].filter(([, share]) => share >= Math.min(amount, 1) - 1e-9);
  const count = Math.max(1, Math.ceil(amount));
  if (enough.length < count) return null;
  return enough
    .toSorted(([, a], [, b]) => a - b)
    .slice(0, count)
    .map(([id]) => id);
}
