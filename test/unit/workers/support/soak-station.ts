import { join } from 'node:path';
import { SystemClock } from '../../../../src/clock.js';
import type { BlockMeta } from '../../../../src/core/block.js';
import { blockBytes } from '../../../../src/core/kv-layout.js';
import { CpuDevice } from '../../../../src/device/cpu/cpu-device.js';
import type { Device, DeviceBlock } from '../../../../src/device/device.js';
import { digestOf } from '../../../../src/digest.js';
import { Engine } from '../../../../src/engine/engine.js';
import type { ModelGraph } from '../../../../src/engine/model-graph.js';
import { SILENT_LOG } from '../../../../src/log.js';
import type { OrtRuntime } from '../../../../src/ort/runtime.js';
import { PacedLog } from '../../../../src/paced-log.js';
import { HEADER_BYTES } from '../../../../workers/cache/block-file.js';
import { BlockFolder } from '../../../../workers/cache/block-folder.js';
import { BlockStore } from '../../../../workers/cache/block-store.js';
import { LowerTiers } from '../../../../workers/cache/lower-tiers.js';
import { STAGING_BYTES } from '../../../../workers/cache/tiered-cache.js';
import { PrefixLoader } from '../../../../workers/prefix/prefix-loader.js';
import { Promoter } from '../../../../workers/prefix/promoter.js';
import { RemoteDevice } from '../../../support/remote-device.js';
import { FINGERPRINT } from '../../engine/support/rig.js';

/** Blocks that each tier has room for. */
const BUDGET_BLOCKS = 20;

/** Checks the budgets whenever memory was taken. */
class WatchedDevice extends CpuDevice {
  onTaken: () => void = () => {};

  override allocateBlock(): DeviceBlock | null {
    const block = super.allocateBlock();
    this.onTaken();
    return block;
  }
}

/** A worker of a small model without a network: engine, cache and all three tiers; peers are stations whose stores it is given. */
export class SoakStation {
  readonly store: BlockStore;
  readonly engine: Engine;
  readonly peers: SoakStation[] = [];
  /** The most that each tier has held, and how often that was looked at. */
  readonly peakBytes: Record<string, number> = {};
  readonly left: Record<string, number> = {};
  checks = 0;
  damages = 0;
  readonly failures: unknown[] = [];
  private readonly memory: WatchedDevice;
  private readonly device: Device;

  static async open(options: { runtime: OrtRuntime; graph: ModelGraph; kind: 'viewed' | 'remote'; dir: string }) {
    const files = await BlockFolder.open(join(options.dir, options.kind));
    const station = new SoakStation(options, files);
    await station.store.open();
    return station;
  }

  private constructor(
    { runtime, graph, kind }: { runtime: OrtRuntime; graph: ModelGraph; kind: 'viewed' | 'remote' },
    files: BlockFolder,
  ) {
    const bytes = blockBytes(graph.layout);
    const clock = new SystemClock();
    const budgetBytes = BUDGET_BLOCKS * bytes;
    this.memory = new WatchedDevice({
      runtime,
      layout: graph.layout,
      blockBudgetBytes: budgetBytes,
      slots: 4,
      capacityTokens: graph.contextTokens,
    });
    this.device = kind === 'viewed' ? this.memory : new RemoteDevice(this.memory);
    const roleOf = ({ index }: BlockMeta) => (index % 3 === 0 ? ('home' as const) : ('guest' as const));
    const onFailed = (error: unknown) => this.failures.push(error);
    const lower = new LowerTiers({
      stagingBytes: STAGING_BYTES,
      runtime,
      blockBytes: bytes,
      hostBudgetBytes: budgetBytes,
      disk: {
        files,
        budgetBytes: BUDGET_BLOCKS * (bytes + HEADER_BYTES),
        fingerprint: FINGERPRINT,
        secret: 'k'.repeat(16),
      },
      roleOf,
      clock,
      log: new PacedLog(SILENT_LOG, clock),
      computeMsPerBlock: () => null,
      onAnswers: () => {},
      onDamage: () => this.damages++,
    });
    this.store = new BlockStore({
      self: { id: 'soak', incarnation: '1' },
      device: this.device,
      lower,
      roleOf,
      onFailed,
    });
    this.memory.onTaken = () => this.check();
    this.store.listen({
      usable: () => this.check(),
      added: () => this.check(),
      left: (tier, _, reason) => {
        this.left[`${tier} ${reason}`] = (this.left[`${tier} ${reason}`] ?? 0) + 1;
        this.check();
      },
    });
    const promoter = new Promoter({
      store: this.store,
      lower,
      clock,
      blockTokens: graph.layout.blockTokens,
      blockBytes: bytes,
      // Slow enough that whatever can be brought is.
      computeMsPerToken: () => 100,
      onFailed,
    });
    const loader = new PrefixLoader(this.store, { fetch: (wanted) => this.fetch(wanted) }, promoter);
    this.engine = new Engine({
      graph,
      device: this.device,
      cache: loader,
      fingerprint: FINGERPRINT,
      eosTokenIds: [],
      prefill: { chunkTokens: 128, pauseMs: 0 },
      draftTokens: 0,
      maxWaiting: 64,
      clockNow: () => clock.now(),
    });
  }

  /** Throws if a tier is over its budget. */
  check(): void {
    this.checks++;
    for (const { tier, bytes, budgetBytes } of this.store.tiers) {
      if (bytes > budgetBytes) throw new Error(`the ${tier} tier has ${bytes} bytes of ${budgetBytes}`);
      this.peakBytes[tier] = Math.max(this.peakBytes[tier] ?? 0, bytes);
    }
  }

  /** Pushes a block to a peer as a replicator does. False if it is not taken. */
  async push(key: string, to: SoakStation): Promise<boolean> {
    const pinned = await this.store.pin(key);
    if (pinned === null) return false;
    try {
      const reserved = to.store.admit(pinned.block);
      if (typeof reserved === 'string') return false;
      reserved.memory.set(pinned.bytes);
      await reserved.commit();
      return true;
    } finally {
      pinned.unpin();
    }
  }

  /** Ends it, and says what it left behind. */
  async close(): Promise<string[]> {
    await this.engine.idle();
    await this.engine.close();
    await this.store.quiet();
    await this.store.idle();
    this.check();
    await this.store.close();
    const { blocks } = this.memory.memory();
    const left = blocks > 0 ? [`${blocks} blocks in use`] : [];
    if (blocks === 0) this.memory.close();
    return left;
  }

  private async fetch(wanted: readonly BlockMeta[]): Promise<void> {
    for (const meta of wanted) {
      const [peer] = this.peers.filter(({ store }) => store.sealed(meta.key) !== null);
      const pinned = await peer?.store.pin(meta.key);
      if (!pinned) return;
      try {
        const { digest, maker } = pinned.block;
        const reserved = this.store.reserveBytes({ ...meta, digest, maker }, 'fetched');
        if (typeof reserved === 'string') return;
        reserved.memory.set(pinned.bytes);
        if (digestOf(reserved.memory) !== digest) throw new Error(`a peer gave block ${meta.key} damaged`);
        await reserved.commit();
      } finally {
        pinned.unpin();
      }
    }
  }
}
