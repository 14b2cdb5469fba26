import type { Fleet } from './fleet.js';
import type { World } from './world.js';

/** Tells what keeps a healed fleet from being as it should; null if nothing does. */
export function convergenceFault(world: World, fleet: Fleet): string | null {
  const workers = [...fleet.workers.values()];
  for (const member of fleet.members)
    if (!member.process.alive || !member.serving) return `${member.id} does not serve`;
  for (const one of fleet.started) {
    const other = fleet.member(one.id);
    if (one.process.alive && other !== one) return `two processes have the ID ${one.id}`;
  }
  const epochs = new Set<string>();
  for (const member of fleet.members) {
    const { roster } = member.parts!;
    const seen = roster.members().filter(({ state }) => state === 'serving');
    for (const { id, incarnation } of workers) {
      if (!seen.some((one) => one.id === id && one.incarnation === incarnation))
        return `${member.id} does not see ${id} serve`;
    }
    if (seen.length !== workers.length) return `${member.id} sees ${seen.length} workers serve, not ${workers.length}`;
    epochs.add(roster.epoch);
  }
  if (epochs.size > 1) return `there are ${epochs.size} rings`;
  for (const { id, parts } of workers) {
    const { lagBlocks } = parts!.replicator;
    if (lagBlocks > 0) return `${id} owes ${lagBlocks} copies`;
  }
  const lacking = world.blocks.lacking();
  if (lacking.length > 0) return `${lacking.length} blocks have fewer than ${world.replicas} copies`;
  return null;
}
