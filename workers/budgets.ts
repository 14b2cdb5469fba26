import { blockBytes, type KvLayout } from '../src/core/kv-layout.js';
import type { Device } from '../src/device/device.js';
import { Refused } from '../src/errors.js';
import { FRAME_PAYLOAD_BYTES } from '../src/limits.js';
import { HEADER_BYTES } from './cache/block-file.js';

export interface Budgets {
  readonly cacheBytes: number;
  /** 0 for no such tier, null for what suits the device. */
  readonly hostCacheBytes: number | null;
  readonly diskCacheDir: string | null;
  readonly diskCacheBytes: number;
}

/** Throws `Refused` if the model's blocks do not fit a budget or a frame between peers. */
export function checkBudgets(layout: KvLayout, budgets: Budgets): void {
  const bytes = blockBytes(layout);
  if (bytes > FRAME_PAYLOAD_BYTES) {
    throw new Refused(`a block of this model has ${bytes} bytes, a frame between peers at most ${FRAME_PAYLOAD_BYTES}`);
  }
  const { cacheBytes, hostCacheBytes, diskCacheDir, diskCacheBytes } = budgets;
  const check = (flag: string, budgetBytes: number, neededBytes: number, otherwise: string) => {
    if (budgetBytes >= neededBytes) return;
    throw new Refused(
      `${flag} is ${budgetBytes}, less than one block of this model takes (${neededBytes}): give more, or ${otherwise}`,
    );
  };
  check('--cache-bytes', cacheBytes, bytes, '--cache off');
  if (hostCacheBytes) check('--host-cache-bytes', hostCacheBytes, bytes, '0');
  if (diskCacheDir !== null) check('--disk-cache-bytes', diskCacheBytes, HEADER_BYTES + bytes, 'no --disk-cache-dir');
}

/**
 * Host memory for blocks that have to leave the device: as much as there is device memory for them, where nothing else was said; none on a device
 * whose memory is the host's.
 */
export function hostBudgetBytes({ cacheBytes, hostCacheBytes }: Budgets, device: Device['kind']): number {
  return hostCacheBytes ?? (device === 'cpu' ? 0 : cacheBytes);
}
