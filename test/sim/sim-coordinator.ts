import { coordinatorBuckets } from '../../coordinator/buckets.js';
import { type CoordinatorParts, makeCoordinatorParts, startCoordinatorParts } from '../../coordinator/compose.js';
import { NO_TRAIL } from '../../coordinator/trail/trail.js';
import type { Transport } from '../../src/bus/transport.js';
import type { CoordinatorConfig } from '../../src/config/coordinator-config.js';
import { ON_PREFIX } from '../../src/core/kv-dependence.js';
import { BucketKeeper } from '../../src/fleet/bucket-keeper.js';
import { joinFleet } from '../../src/fleet/joining.js';
import { storeCheck } from '../../src/fleet/store-check.js';
import { fleetSubjects } from '../../src/fleet/subjects.js';
import { Lifecycle } from '../../src/lifecycle.js';
import { PacedLog } from '../../src/paced-log.js';
import { PLAIN_HTTP } from '../support/plain-http.js';
import { SimCompletions } from './sim-completions.js';
import { SIM_LAYOUT } from './sim-device.js';
import { SIM_FINGERPRINT } from './sim-model.js';
import { SimBus } from './sim-nats.js';
import type { SimProcess } from './sim-process.js';
import { CONTEXT_TOKENS } from './sim-worker.js';
import { NAMESPACE, SECRET, surroundingsOf, type World } from './world.js';

/** One coordinator of the simulated fleet: all production parts below HTTP. */
export class SimCoordinator {
  parts: CoordinatorParts | null = null;
  /** What HTTP would serve. */
  completions: SimCompletions | null = null;
  private transport: Transport | null = null;
  private started = false;
  quarantined = 0;

  constructor(
    readonly process: SimProcess,
    private readonly world: World,
  ) {}

  get id(): string {
    return this.process.host;
  }

  /** Whether `/health/ready` says so. */
  get serving(): boolean {
    return this.started && this.process.alive && this.parts!.roster.members().some(({ state }) => state === 'serving');
  }

  /** What `/health` says of the store; null for nothing. */
  get storeFault(): string | null {
    return this.transport?.storeFault?.()?.why ?? null;
  }

  /** Does what `coordinator/main.ts` does, but for HTTP. */
  async start(): Promise<void> {
    const { process, world } = this;
    const { clock } = process;
    const bus = await SimBus.connect(process, world.nats, world.randomOf('bus'), (error) =>
      world.crashed(process, error),
    );
    const incarnation = world.incarnation();
    const transport = world.transport(process, bus, { id: this.id, incarnation });
    const config = this.config();
    const log = world.logOf(process);
    const onOutlawed = (why: string) => world.violate('healthy members live', `${this.id} is not let in: ${why}`);
    const joining = { transport, clock, log, config, fingerprint: SIM_FINGERPRINT, model: 'sim' };
    const charter = await joinFleet({ ...joining, onOutlawed });
    this.transport = transport;
    const buckets = coordinatorBuckets(transport, config.namespace);
    const parts = makeCoordinatorParts({
      trail: NO_TRAIL,
      config,
      incarnation,
      fingerprint: SIM_FINGERPRINT,
      layout: SIM_LAYOUT,
      dependence: ON_PREFIX,
      bus: transport.bus,
      clock,
      surroundings: surroundingsOf(world, process),
      log,
      onResumed: () => {},
      onCall: () => {},
      storeFault: () => this.storeFault,
      openBucket: buckets.fleet,
      openRetentions: buckets.retentions,
      onQuarantined: () => {
        this.quarantined++;
      },
      onPoisonRefused: () => {},
    });
    await startCoordinatorParts(new Lifecycle(), parts, { clock, log });
    const checks = [
      () => charter.check(),
      () => parts.poison.keep(),
      storeCheck(transport, buckets.of, new PacedLog(log, clock)),
    ];
    new BucketKeeper({ bus: transport.bus, clock, subjects: fleetSubjects(NAMESPACE), checks }).start();
    this.parts = parts;
    this.completions = new SimCompletions(parts.fleet, clock);
    this.started = true;
  }

  private config(): CoordinatorConfig {
    return {
      id: this.id,
      namespace: NAMESPACE,
      nats: { url: 'nats://nats', user: null, password: null },
      secret: SECRET,
      peerTls: null,
      host: this.id,
      port: 0,
      modelDir: '/sim',
      adapterDir: '/nowhere/adapters',
      graph: { dtype: 'auto', file: null },
      parsers: { toolCalls: 'auto', reasoning: 'auto' },
      servedModelName: 'sim',
      modelAliases: [],
      replicas: this.world.replicas,
      contextTokens: CONTEXT_TOKENS,
      allowRouting: false,
      allowChaos: false,
      apiKeys: [],
      metricsKeys: [],
      http: PLAIN_HTTP,
      keysFile: null,
      jwt: null,
      auditLog: null,
      objectBytes: this.world.objectBytes,
      responseTtlMs: 0,
      redis: null,
      trace: null,
      logLevel: 'silent',
    };
  }
}
