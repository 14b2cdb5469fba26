import type { WorkerConfig } from '../src/config/worker-config.js';
import { blockBytes, type KvLayout } from '../src/core/kv-layout.js';
import type { Device } from '../src/device/device.js';
import { Refused } from '../src/errors.js';
import { HEADER_BYTES } from './cache/block-file.js';

/** Memory budgets of a worker's tiers, and their check against the model. */

/** Limit on the payload of a frame between peers: one block of the largest supported model. @internal exported for tests. */
export const FRAME_PAYLOAD_BYTES = 256 * 2 ** 20;

export interface Budgets {
  readonly cacheBytes: number;
  /** 0 for no host tier; null for the default of the device. */
  readonly hostCacheBytes: number | null;
  readonly diskCacheDir: string | null;
  readonly diskCacheBytes: number;
}

/** Throws `Refused` if the model's blocks do not fit a budget or a frame between peers. */
export function checkBudgets(layout: KvLayout, budgets: Budgets): void {
  const bytes = blockBytes(layout);
  if (bytes > FRAME_PAYLOAD_BYTES) {
    throw new Refused(
      `cannot serve this model: its blocks have ${bytes} bytes; a frame between peers may have at most ${FRAME_PAYLOAD_BYTES}`,
    );
  }
  const { cacheBytes, hostCacheBytes, diskCacheDir, diskCacheBytes } = budgets;
  const check = (flag: string, budgetBytes: number, neededBytes: number, alternative: string) => {
    if (budgetBytes >= neededBytes) return;
    throw new Refused(
      `${flag}: ${budgetBytes} bytes are too few for one block of this model; set at least ${neededBytes}, or ${alternative}`,
    );
  };
  check('--cache-bytes', cacheBytes, bytes, 'set --cache off');
  if (hostCacheBytes) check('--host-cache-bytes', hostCacheBytes, bytes, 'set 0');
  if (diskCacheDir !== null) {
    check('--disk-cache-bytes', diskCacheBytes, HEADER_BYTES + bytes, 'omit --disk-cache-dir');
  }
}

/** The memory for running sequences in a worker on the CPU: its memory without its weights and its caches. */
export function sequenceBytes(
  config: Pick<WorkerConfig, 'memoryBytes' | 'cache' | 'cacheBytes' | 'hostCacheBytes'>,
  weightBytes: number,
): number {
  const caches = config.cache ? config.cacheBytes + (config.hostCacheBytes ?? 0) : 0;
  return config.memoryBytes - weightBytes - caches;
}

/**
 * The budget of the host tier, which keeps blocks evicted from the device. The default is the budget of the device tier, or 0 on a device
 * that uses host memory.
 */
export function hostBudgetBytes({ cacheBytes, hostCacheBytes }: Budgets, device: Device['kind']): number {
  return hostCacheBytes ?? (device === 'cpu' ? 0 : cacheBytes);
}
