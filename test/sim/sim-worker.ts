import type { WorkerConfig } from '../../src/config/worker-config.js';
import { ON_PREFIX } from '../../src/core/kv-dependence.js';
import type { ModelGraph } from '../../src/engine/model-graph.js';
import { BucketKeeper } from '../../src/fleet/bucket-keeper.js';
import { generationCheck, takeGeneration } from '../../src/fleet/generation.js';
import { joinFleet } from '../../src/fleet/joining.js';
import { fleetSubjects } from '../../src/fleet/subjects.js';
import { HEADER_BYTES } from '../../workers/cache/block-file.js';
import type { WorkerParts } from '../../workers/compose.js';
import type { WorkerObjects } from '../../workers/objects/worker-objects.js';
import { Worker } from '../../workers/worker.js';
import { SIM_LAYOUT, SimDevice } from './sim-device.js';
import { SIM_BLOCK_BYTES, SIM_FINGERPRINT, VOCAB } from './sim-model.js';
import { SimBus } from './sim-nats.js';
import type { SimProcess } from './sim-process.js';
import { SimRunner } from './sim-runner.js';
import { NAMESPACE, SECRET, surroundingsOf, type World } from './world.js';

/** One worker of the simulated fleet: the production `Worker`, whole, on a simulated device. */

export const CONTEXT_TOKENS = 1536;
const SLOTS = 4;

export interface WorkerShape {
  readonly cacheBlocks: number;
  /** Whether the device has memory of its own. */
  readonly isRemote: boolean;
  /** 0 for no host tier. */
  readonly hostBlocks: number;
  /** 0 for no disk tier. */
  readonly diskBlocks: number;
  readonly prefillMsPerToken: number;
  readonly decodeMsPerStep: number;
}

const NO_GRAPH = {
  layout: SIM_LAYOUT,
  dependence: ON_PREFIX,
  kind: 'hand-on',
  vocab: VOCAB,
  contextTokens: CONTEXT_TOKENS,
  logitsType: 'float32',
  names: { logitsToKeep: 'num_logits_to_keep' },
  readsMask: false,
  loraInputs: [],
  release: () => {},
};

/** Where a worker's store has host memory, which no process of this simulator gives back by ending. */
interface HostMemories {
  readonly inbound: { readonly pool: Slabs };
  readonly outbound: { readonly pool: Slabs };
  readonly host: { readonly options: { readonly pool: Slabs } } | null;
}

interface Slabs {
  readonly slabs: { release(): void }[];
}

export class SimWorker {
  readonly device: SimDevice;
  readonly incarnation: string;
  worker: Worker | null = null;
  /** Why it ended itself; null if it did not. */
  over: string | null = null;
  serving = false;
  /** Its place among the processes of its ID; 0 before it has one. */
  generation = 0;
  /** Another process has its ID, and is later. */
  succeeded = false;

  constructor(
    readonly process: SimProcess,
    /** Its ID, which another process may have too. */
    readonly id: string,
    private readonly world: World,
    private readonly shape: WorkerShape,
  ) {
    this.incarnation = world.incarnation();
    this.device = new SimDevice({
      capacityBlocks: shape.cacheBlocks,
      slots: SLOTS,
      isRemote: shape.isRemote,
      clock: process.clock,
      onMisuse: (what) => {
        if (process.alive) world.violate('memory', `${process.host}: ${what}`);
      },
    });
  }

  /** The parts of the worker, for checkers. */
  get parts(): WorkerParts | null {
    return this.worker && (this.worker as unknown as { readonly parts: WorkerParts }).parts;
  }

  /** Its objects, for checkers; null if it has none, or has not started. */
  get objects(): WorkerObjects | null {
    const served = this.parts?.objects ?? null;
    return served && (served as unknown as { readonly objects: WorkerObjects }).objects;
  }

  /** Does what `workers/main.ts` does, once the model is loaded. */
  async start(): Promise<void> {
    const { process, world, id, incarnation, device } = this;
    const { clock } = process;
    world.blocks.mind(this);
    const bus = await SimBus.connect(process, world.nats, world.randomOf('bus'), (error) =>
      world.crashed(process, error),
    );
    const transport = world.transport(process, bus, { id, incarnation });
    const config = this.config();
    const log = world.logOf(process);
    const onOver = (why: string) => {
      this.over = why;
      world.ended(this, why);
    };
    const joining = { transport, clock, log, config, fingerprint: SIM_FINGERPRINT, model: 'sim' };
    const charter = await joinFleet({ ...joining, onOutlawed: onOver });
    const generation = await takeGeneration({ transport, log, config });
    this.generation = generation;
    this.worker = new Worker({
      config,
      identity: { id, incarnation, generation, pid: 1, host: id },
      fingerprint: SIM_FINGERPRINT,
      eosTokenIds: [],
      graph: NO_GRAPH as unknown as ModelGraph,
      makeRunner: () =>
        new SimRunner({
          device,
          clock,
          contextTokens: CONTEXT_TOKENS,
          ...this.shape,
          onPoison: () => world.poisoned(this),
        }),
      device,
      deviceReason: 'it is simulated',
      contextReason: '--context',
      trial: null,
      files: this.shape.diskBlocks > 0 ? world.disk(process.host, this.diskBytes).mount(process) : null,
      bus: transport.bus,
      clock,
      surroundings: surroundingsOf(world, process),
      log,
      onOver,
    });
    world.blocks.watch(this);
    const { worker } = this;
    await worker.start();
    world.blocks.found(this);
    const checks = [() => charter.check(), generationCheck({ transport, config }, () => worker.generation)];
    new BucketKeeper({ bus: transport.bus, clock, subjects: fleetSubjects(NAMESPACE), checks }).start();
    this.serving = true;
  }

  /** Drains, hands over and ends, as on SIGTERM. */
  async stop(): Promise<void> {
    this.serving = false;
    await this.worker?.stop();
  }

  /** Gives the host memory of its tiers back, which the system does for a real process. To be called when nothing of the process runs any more. */
  release(): void {
    const lower = (this.parts?.store as unknown as { lower: HostMemories } | undefined)?.lower;
    if (!lower) return;
    for (const pool of [lower.inbound.pool, lower.outbound.pool, lower.host?.options.pool])
      for (const slab of pool?.slabs.splice(0) ?? []) slab.release();
  }

  private get diskBytes(): number {
    return this.shape.diskBlocks * (HEADER_BYTES + SIM_BLOCK_BYTES);
  }

  private config(): WorkerConfig {
    const { hostBlocks, diskBlocks } = this.shape;
    return {
      id: this.id,
      namespace: NAMESPACE,
      nats: { url: 'nats://nats', user: null, password: null },
      secret: SECRET,
      peerTls: null,
      modelDir: '/sim',
      adapterDir: '/nowhere/adapters',
      graph: { dtype: 'auto', file: null },
      device: 'cpu',
      adapterBytes: 2 ** 29,
      trial: false,
      fetch: 'cheapest',
      replicas: this.world.replicas,
      durability: this.world.durability,
      cache: true,
      cacheBytes: this.shape.cacheBlocks * SIM_BLOCK_BYTES,
      hostCacheBytes: hostBlocks * SIM_BLOCK_BYTES,
      diskCacheDir: diskBlocks > 0 ? '/sim/disk' : null,
      diskCacheBytes: this.diskBytes,
      diskCacheKey: 'k'.repeat(16),
      sequences: SLOTS,
      contextTokens: CONTEXT_TOKENS,
      memoryBytes: 2 ** 30,
      sharedWeightsDir: null,
      threads: 1,
      prefill: { chunkTokens: 256, pauseMs: 200 },
      draftTokens: 0,
      auditOneIn: 0,
      handOverMs: 3_000,
      maxWaiting: 64,
      peer: { socketPath: null, host: this.process.host, port: 0, advertiseHost: this.process.host },
      objectBytes: this.world.objectBytes,
      objectDiskBytes: 0,
      redis: null,
      metrics: null,
      trace: null,
      logLevel: 'silent',
      allowChaos: false,
      hosting: null,
    };
  }
}
