/** Breaks ties between equal workers without a favourite. */

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/**
 * The weight of a worker in one draw; the worker with the highest weight wins. Each draw orders the workers afresh, independent of their number and order
 * (rendezvous hashing, D. Thaler and C. Ravishankar, 1998).
 * @param draw a whole number below 2^32, random for each decision
 */
export function drawnWeight(draw: number, worker: string): number {
  let hash = (FNV_OFFSET ^ draw) | 0;
  for (let i = 0; i < worker.length; i++) hash = Math.imul(hash ^ worker.charCodeAt(i), FNV_PRIME);
  // The last step of MurmurHash3, so that IDs that differ in one character get independent weights.
  hash = Math.imul(hash ^ draw ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
