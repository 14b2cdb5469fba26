import type { WorkerConfig } from '../../src/config/worker-config.js';
import { ON_PREFIX } from '../../src/core/kv-dependence.js';
import type { ModelGraph } from '../../src/engine/model-graph.js';
import { BucketKeeper } from '../../src/fleet/bucket-keeper.js';
import { generationCheck, takeGeneration } from '../../src/fleet/generation.js';
import { joinFleet } from '../../src/fleet/joining.js';
import { fleetSubjects } from '../../src/fleet/subjects.js';
import type { WorkerParts } from '../../workers/compose.js';
import { Worker } from '../../workers/worker.js';
import { SIM_LAYOUT, SimDevice } from './sim-device.js';
import { SIM_BLOCK_BYTES, SIM_FINGERPRINT, VOCAB } from './sim-model.js';
import { SimBus, simTransport } from './sim-nats.js';
import type { SimProcess } from './sim-process.js';
import { SimRunner } from './sim-runner.js';
import { NAMESPACE, SECRET, surroundingsOf, type World } from './world.js';

/** One worker of the simulated fleet: the production `Worker`, whole, on a simulated device. */

export const CONTEXT_TOKENS = 1536;
const SLOTS = 4;

export interface WorkerShape {
  readonly cacheBlocks: number;
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
  release: () => {},
};

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
    this.device = new SimDevice(shape.cacheBlocks, SLOTS, (what) => {
      if (process.alive) world.violate('memory', `${process.host}: ${what}`);
    });
  }

  /** The parts of the worker, for checkers. */
  get parts(): WorkerParts | null {
    return this.worker && (this.worker as unknown as { readonly parts: WorkerParts }).parts;
  }

  /** Does what `workers/main.ts` does, once the model is loaded. */
  async start(): Promise<void> {
    const { process, world, id, incarnation, device } = this;
    const { clock } = process;
    world.blocks.mind(this);
    const bus = await SimBus.connect(process, world.nats, world.randomOf('bus'), (error) =>
      world.crashed(process, error),
    );
    const transport = simTransport(process, world.nats, bus);
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
      trial: null,
      files: null,
      bus,
      clock,
      surroundings: surroundingsOf(world, process),
      log,
      onOver,
    });
    world.blocks.watch(this);
    await this.worker.start();
    const { worker } = this;
    const checks = [async () => charter?.check(), generationCheck({ transport, config }, () => worker.generation)];
    new BucketKeeper({ bus, clock, subjects: fleetSubjects(NAMESPACE), checks }).start();
    this.serving = true;
  }

  private config(): WorkerConfig {
    return {
      id: this.id,
      namespace: NAMESPACE,
      nats: { url: 'nats://nats', user: null, password: null },
      secret: SECRET,
      peerTls: null,
      modelDir: '/sim',
      device: 'cpu',
      trial: false,
      replicas: this.world.replicas,
      cache: true,
      cacheBytes: this.shape.cacheBlocks * SIM_BLOCK_BYTES,
      hostCacheBytes: null,
      diskCacheDir: null,
      diskCacheBytes: 0,
      diskCacheKey: 'k'.repeat(16),
      sequences: SLOTS,
      contextTokens: CONTEXT_TOKENS,
      threads: 1,
      prefillChunkTokens: 256,
      maxWaiting: 64,
      peer: { socketPath: null, host: this.process.host, port: 0, advertiseHost: this.process.host },
      metrics: null,
      logLevel: 'silent',
    };
  }
}
