import { basename, dirname, join } from 'node:path';
import { SystemClock } from '../clock.js';
import type { HostingConfig } from '../config/hosting-config.js';
import type { NodeConfig } from '../config/node-config.js';
import { packageVersion } from '../config/package-root.js';
import type { TraceConfig } from '../config/trace-config.js';
import type { MetricsConfig, WorkerConfig } from '../config/worker-config.js';
import { Lifecycle } from '../lifecycle.js';
import { AdjustableLog, type Log } from '../log.js';
import { callCounter } from '../metrics/call-counter.js';
import { sendMetrics } from '../metrics/open-metrics.js';
import { MetricsRegistry } from '../metrics/registry.js';
import { RuntimeMetrics } from '../metrics/runtime-metrics.js';
import { startMetricsServer } from '../metrics/server.js';
import { OpenFilesWatch } from '../open-files-watch.js';
import { Reloads } from '../reload.js';
import type { RunningRole } from '../running-role.js';
import { openTracer } from '../trace/open-tracer.js';
import { NodeHost } from './host/node-host.js';
import { type JoinRuntimeOptions, joinRuntime } from './join.js';
import { Library } from './library.js';

/** Runs a node: a process, or a part of a worker's process, that hosts users' code. */

/**
 * Runs one node in this process. Resolves when it hosts. If it rejects, it has released everything.
 * @throws InvalidRequest if a module cannot be hosted, Refused if the fleet has another secret, Cancelled if `leaving` aborts while it waits for NATS
 */
export function runNode(config: NodeConfig, leaving: AbortSignal): Promise<RunningRole> {
  const log = AdjustableLog.create({ level: config.logLevel, fields: { role: 'node', node: config.id } });
  const registry = new MetricsRegistry();
  registry.watchProcess();
  const { metrics } = config;
  const own = { registry, metrics, trace: config.trace, id: config.id, worker: null, role: 'node' } as const;
  return host(config, { ...placeOf(config), log, reloads: reloadsOf(log), leaving, ...own });
}

/**
 * Runs a node in the worker's process, with an address of its own and the worker's credentials. The worker serves `registry`. Rejects like
 * `runNode`.
 */
export function runNodeBeside(
  config: WorkerConfig,
  hosting: HostingConfig,
  registry: MetricsRegistry,
  leaving: AbortSignal,
): Promise<RunningRole> {
  const { socketPath, ...peer } = config.peer;
  const beside = socketPath === null ? null : join(dirname(socketPath), `actors-${basename(socketPath)}`);
  const at = placeOf({ ...config, peer: { ...peer, port: peer.port === null ? null : 0, socketPath: beside } });
  const log = AdjustableLog.create({ level: config.logLevel, fields: { role: 'node', node: config.id } });
  const own = { id: `${config.id}-actors`, worker: config.id, role: 'worker' } as const;
  const place = { ...at, log, reloads: reloadsOf(log), leaving, registry, metrics: null, trace: config.trace, ...own };
  return host(hosting, place);
}

/** The options that the role reloads at SIGHUP, beginning with the log level. */
function reloadsOf(log: AdjustableLog): Reloads {
  const reloads = new Reloads();
  reloads.on(({ logLevel }) => {
    log.level = logLevel;
  });
  return reloads;
}

function placeOf(config: Pick<NodeConfig, 'namespace' | 'nats' | 'secret' | 'peerTls' | 'peer'>) {
  const { namespace, nats, secret, peerTls, peer } = config;
  const tcp = peer.port === null ? {} : { tcpHost: peer.host, tcpPort: peer.port };
  const listen = { unixPath: peer.socketPath, ...tcp, advertiseHost: peer.port === null ? null : peer.advertiseHost };
  return { namespace, nats, secret, peerTls, listen };
}

interface Place extends Omit<JoinRuntimeOptions, 'kind' | 'onClose' | 'objects' | 'coordinator'> {
  readonly log: Log;
  readonly reloads: Reloads;
  readonly registry: MetricsRegistry;
  /** Where the node serves the registry; null: it does not. */
  readonly metrics: MetricsConfig | null;
  readonly trace: TraceConfig | null;
}

function host(hosting: HostingConfig, place: Place): Promise<RunningRole> {
  const { log, reloads, registry, metrics, trace, id } = place;
  return Lifecycle.build(async (life) => {
    const library = await Library.load(hosting.modules, {
      clock: new SystemClock(),
      onSlow: (file) =>
        log.warn(
          { file },
          'still loading a module of --actors; a top-level await in it, or in what it imports, has not ended',
        ),
    });
    const onClose = async () => log.warn({}, 'code on this node closed its fleet; a node leaves when its process ends');
    const calls = callCounter(registry);
    const { member, fleet } = await joinRuntime(life, {
      ...place,
      onCall: (path) => calls.add(1, { path }),
      kind: 'node',
      objects: hosting.objects,
      coordinator: hosting.coordinator,
      onClose,
    });
    fleet.knowErrors(library.exported);
    const { resources: total, gpuIds } = hosting;
    const tracer = await openTracer(life, trace, { role: 'node', id, version: packageVersion(), log, reloads });
    const traced = tracer === null ? {} : { tracer };
    const observer: RuntimeMetrics = new RuntimeMetrics(registry, () => node.uses);
    const node: NodeHost = new NodeHost({ member, library, fleet, total, gpuIds, log, observer, ...traced });
    await node.start(life);
    await life.start(new OpenFilesWatch(member.options.clock, log));
    const url = metrics && (await serveMetrics(life, metrics, registry));
    const { clock, surroundings } = member.options;
    const sender = { role: 'node', id, version: packageVersion(), registry, clock, log } as const;
    // A worker sends the metrics of the node beside it.
    if (place.worker === null) await sendMetrics(life, trace, { ...sender, wallMs: surroundings.wallMs });
    const exports = library.exports.map(({ name, version }) => `${name}@${version}`);
    log.info({ exports, metrics: url }, 'hosting');
    return {
      ready: { id: member.self.node, incarnation: member.self.incarnation, exports, metrics: url },
      reload: (options) => reloads.run(options),
      stop: async () => {
        await life.stop();
        log.info({}, 'stopped');
      },
    };
  });
}

/** Resolves with the URL. `life` ends it. @throws an error of the system if the address is taken */
async function serveMetrics(
  life: Lifecycle,
  { host, port }: MetricsConfig,
  registry: MetricsRegistry,
): Promise<string> {
  const server = await startMetricsServer({ host, port, registry, ready: () => true });
  return life.use(server, (open) => open.close()).url;
}
