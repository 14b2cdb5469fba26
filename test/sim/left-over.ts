import type { Fleet } from './fleet.js';

/** Tells what a fleet without requests still holds on to; null if nothing. */
export function leftOver(fleet: Fleet): string | null {
  for (const { id, parts, device } of fleet.workers.values()) {
    if (!parts) continue;
    const { running, waiting } = parts.engine.stats();
    if (running + waiting > 0) return `${id} has ${running + waiting} sequences`;
    const { upper, pinned, arrivals } = parts.store as unknown as {
      readonly upper: { readonly pins: number; readonly blocks: number };
      readonly pinned: { readonly size: number };
      readonly arrivals: { readonly size: number };
    };
    if (upper.pins !== 0) return `${id} has ${upper.pins} pinned blocks`;
    if (pinned.size !== 0) return `${id} has ${pinned.size} blocks pinned for peers`;
    if (arrivals.size !== 0) return `${id} has ${arrivals.size} reserved blocks`;
    const { blocks } = device.memory();
    if (blocks !== upper.blocks) return `${id} has memory for ${blocks} blocks and ${upper.blocks} blocks`;
  }
  return null;
}
