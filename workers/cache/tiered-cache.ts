import type { Clock } from '../../src/clock.js';
import type { WorkerConfig } from '../../src/config/worker-config.js';
import type { BlockKey } from '../../src/core/block.js';
import { blockBytes } from '../../src/core/kv-layout.js';
import type { Maker } from '../../src/core/maker.js';
import type { Device } from '../../src/device/device.js';
import type { Log } from '../../src/log.js';
import type { OrtRuntime } from '../../src/ort/runtime.js';
import { PacedLog } from '../../src/paced-log.js';
import { hostBudgetBytes } from '../budgets.js';
import { Promoter } from '../prefix/promoter.js';
import type { BlockFiles } from './block-folder.js';
import { BlockStore } from './block-store.js';
import { LowerTiers } from './lower-tiers.js';
import type { RoleOf } from './tier.js';

/** Builds a worker's block store with the tiers that the configuration asks for. */

/** Host memory for blocks in transit to a device with its own memory, and as much again for blocks coming from such a device or from a disk. @internal exported for tests. */
export const STAGING_BYTES = 128 * 2 ** 20;

export interface TieredCacheOptions {
  /** This process, which makes the blocks that it computes. */
  readonly self: Maker;
  readonly config: WorkerConfig;
  readonly fingerprint: string;
  readonly runtime: OrtRuntime;
  readonly device: Device;
  /** Null for no disk tier. */
  readonly files: BlockFiles | null;
  readonly clock: Clock;
  readonly log: Log;
  readonly roleOf: RoleOf;
  readonly computeMsPerToken: () => number | null;
  /** The disk has stopped answering, or answers again. */
  readonly onAnswers: () => void;
  /** A file was damaged. */
  readonly onDamage: (block: BlockKey) => void;
}

/** A worker's blocks in all tiers that its configuration gives it, and what brings them up. */
export function tieredCache(options: TieredCacheOptions): { readonly store: BlockStore; readonly promoter: Promoter } {
  const { config, fingerprint, device, files, clock, roleOf, computeMsPerToken } = options;
  // A disk or a device that fails does so for every block.
  const log = new PacedLog(options.log, clock);
  const bytes = blockBytes(device.layout);
  const { blockTokens } = device.layout;
  const lower = new LowerTiers({
    ...options,
    log,
    blockBytes: bytes,
    onAnswers: () => {
      store.copyDown();
      options.onAnswers();
    },
    computeMsPerBlock: () => {
      const msPerToken = computeMsPerToken();
      return msPerToken === null ? null : msPerToken * blockTokens;
    },
    stagingBytes: STAGING_BYTES,
    hostBudgetBytes: config.cache ? hostBudgetBytes(config, device.kind) : 0,
    disk: files && { files, budgetBytes: config.diskCacheBytes, fingerprint, secret: config.diskCacheKey },
  });
  const onFailed = (err: unknown) => log.error({ err }, 'a block could not be copied to or from the device');
  const store = new BlockStore({ self: options.self, device, lower, roleOf, onFailed });
  return {
    store,
    promoter: new Promoter({ store, lower, clock, blockTokens, blockBytes: bytes, computeMsPerToken, onFailed }),
  };
}
