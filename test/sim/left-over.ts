import type { Fleet } from './fleet.js';

/** Tells what a fleet without requests still holds on to; null if nothing. */
export function leftOver(fleet: Fleet): string | null {
  for (const { id, parts, device } of fleet.workers.values()) {
    if (!parts) continue;
    const { running, waiting } = parts.engine.stats();
    if (running + waiting > 0) return `${id} has ${running + waiting} sequences`;
    const { upper, pinned, arrivals, lower } = parts.store as unknown as {
      readonly upper: { readonly pins: number; readonly blocks: number };
      readonly pinned: { readonly size: number };
      readonly arrivals: { readonly size: number };
      readonly lower: {
        readonly inbound: { readonly pool: { readonly size: number } };
        readonly outbound: { readonly pool: { readonly size: number } };
        readonly host: {
          readonly blocks: number;
          readonly options: { readonly pool: { readonly size: number } };
        } | null;
      };
    };
    if (upper.pins !== 0) return `${id} has ${upper.pins} pinned blocks`;
    if (pinned.size !== 0) return `${id} has ${pinned.size} blocks pinned for peers`;
    if (arrivals.size !== 0) return `${id} has ${arrivals.size} reserved blocks`;
    const staged = lower.inbound.pool.size + lower.outbound.pool.size;
    if (staged > 0) return `${id} has ${staged} blocks on their way between tiers`;
    const unused = (lower.host?.options.pool.size ?? 0) - (lower.host?.blocks ?? 0);
    if (unused !== 0) return `${id} has host memory for ${unused} blocks too many`;
    const { blocks } = device.memory();
    if (blocks !== upper.blocks) return `${id} has memory for ${blocks} blocks and ${upper.blocks} blocks`;
  }
  return null;
}
