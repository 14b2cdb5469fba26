import { hostname } from 'node:os';
import { join, relative } from 'node:path';
import { within } from '../src/async/within.js';
import { natsTransport } from '../src/bus/nats-transport.js';
import { sealTransport } from '../src/bus/sealed-transport.js';
import type { Transport } from '../src/bus/transport.js';
import { type Clock, SystemClock } from '../src/clock.js';
import { packageVersion } from '../src/config/package-root.js';
import type { WorkerConfig } from '../src/config/worker-config.js';
import { type ContextChoice, chooseContext } from '../src/core/context-choice.js';
import { chooseDevice, surveyDevices } from '../src/device/choose.js';
import { CpuDevice } from '../src/device/cpu/cpu-device.js';
import type { Device } from '../src/device/device.js';
import { openDevice } from '../src/device/open.js';
import { runnerOf } from '../src/engine/engine.js';
import { loadModelGraph, type ModelGraph } from '../src/engine/model-graph.js';
import { runDemand } from '../src/engine/run-demand.js';
import { needsTrial } from '../src/engine/runner-choice.js';
import { Unavailable } from '../src/errors.js';
import { BucketKeeper } from '../src/fleet/bucket-keeper.js';
import { logBusStatus, settled } from '../src/fleet/bus-log.js';
import { droppedLog } from '../src/fleet/dropped-log.js';
import { generationCheck, takeGeneration } from '../src/fleet/generation.js';
import { newIncarnation } from '../src/fleet/identity.js';
import { joinFleet } from '../src/fleet/joining.js';
import { natsInbox } from '../src/fleet/nats-rights.js';
import { fleetSubjects } from '../src/fleet/subjects.js';
import { type OwnModel, ownModel } from '../src/hub/fleet/shared-model.js';
import { Lifecycle } from '../src/lifecycle.js';
import { DEVICE_REASON_CHARS, PROCESS_STOP_MS } from '../src/limits.js';
import { AdjustableLog, type Log } from '../src/log.js';
import { sendMetrics } from '../src/metrics/open-metrics.js';
import type { MetricsRegistry } from '../src/metrics/registry.js';
import { modelFingerprint, weightDigests } from '../src/model/fingerprint.js';
import { type ModelFolder, openModelFolder } from '../src/model/folder.js';
import { vocabularyOf } from '../src/model/vocabulary.js';
import { WeightCache } from '../src/model/weight-cache.js';
import { OpenFilesWatch } from '../src/open-files-watch.js';
import type { Provider } from '../src/ort/provider.js';
import { OrtRuntime } from '../src/ort/runtime.js';
import { PacedLog } from '../src/paced-log.js';
import { Reloads } from '../src/reload.js';
import type { RunningRole } from '../src/running-role.js';
import { machineSurroundings } from '../src/surroundings.js';
import { TlsWatch } from '../src/tls-watch.js';
import { openTracer } from '../src/trace/open-tracer.js';
import { checkBudgets, sequenceBytes } from './budgets.js';
import { type BlockFiles, BlockFolder } from './cache/block-folder.js';
import { openedInTime } from './cache/late-files.js';
import { allowedFaults } from './chaos/worker-faults.js';
import { draftTokensOf, logDependence, type TriedModel, tryModel } from './tried-model.js';
import { Worker } from './worker.js';

interface RunningWorker extends RunningRole {
  /** The metrics that the worker serves. */
  readonly registry: MetricsRegistry;
}

/** Time limit for closing the folder of the disk cache. */
const FILES_CLOSE_MS = 1_000;

/**
 * Runs one worker in this process.
 *
 * It loads the model, joins the fleet and serves requests. Resolves when the worker serves. If it rejects, it has released everything.
 * @throws Refused if the model, the device or a budget is unusable or does not fit the fleet, Cancelled if `leaving` aborts while it waits
 * for NATS or for the weights that another worker packs
 */
export function runWorker(config: WorkerConfig, leaving: AbortSignal): Promise<RunningWorker> {
  const incarnation = newIncarnation();
  const log = AdjustableLog.create({
    level: config.logLevel,
    fields: { role: 'worker', worker: config.id, incarnation },
  });
  const paced = new PacedLog(log, new SystemClock());
  const onLost = droppedLog(log, new SystemClock());
  const connect = (onRefused: (why: Error) => void) =>
    natsTransport({
      ...config.nats,
      name: `shoal worker ${config.id}`,
      inbox: natsInbox(config.namespace, 'worker'),
      onRefused,
      signal: leaving,
      onWaiting: ({ message }) => paced.warn({}, `trying again: ${message}`),
      onLost: (subject) => onLost('crowded', subject),
    });
  const reloads = new Reloads();
  reloads.on(({ logLevel }) => {
    log.level = logLevel;
  });
  return Lifecycle.build((life) => buildWorker(life, config, leaving, incarnation, { log, reloads, connect }));
}

interface WorkerWorld {
  readonly log: Log;
  readonly reloads: Reloads;
  readonly connect: (onRefused: (why: Error) => void) => Promise<Transport>;
}

async function buildWorker(
  life: Lifecycle,
  config: WorkerConfig,
  leaving: AbortSignal,
  incarnation: string,
  { log, reloads, connect }: WorkerWorld,
): Promise<RunningWorker> {
  const { id } = config;
  const clock = new SystemClock();
  const machine = machineSurroundings();
  const { folder, ...loaded } = await openModel(life, config, leaving, clock, log);
  const files = await openFiles(life, config, { clock, log });
  const fingerprint = await modelFingerprint(folder, loaded.graph.layout);
  const own = new OwnEnd(log);
  let serving = false;
  const onRefused = ({ message }: Error) => (serving ? log.error({}, message) : own.end(message));
  const sealed = sealTransport(await connect(onRefused), {
    clock,
    random: machine.random,
    secret: config.secret,
    self: { id, incarnation },
    namespace: config.namespace,
    onDropped: droppedLog(log, clock),
  });
  const { faults, transport, surroundings } = allowedFaults(config, { clock, log }, sealed, machine);
  const { peerTls } = config;
  if (peerTls !== null) await life.start(new TlsWatch(() => peerTls.pems, clock, surroundings.wallMs, log));
  const bus = life.use(transport.bus, (open) => open.close());
  logBusStatus(bus, new PacedLog(log, clock));
  const joining = { transport, clock, log, config, fingerprint, model: folder.name };
  const charter = await joinFleet({ ...joining, onOutlawed: (why) => own.end(why) });
  const generation = await takeGeneration({ transport, log, config });
  const named = { role: 'worker', id, version: packageVersion(), log } as const;
  const tracer = await openTracer(life, config.trace, { ...named, reloads });
  const worker = new Worker({
    config,
    identity: { id, incarnation, generation, pid: process.pid, host: hostname() },
    fingerprint,
    eosTokenIds: folder.eosTokenIds,
    vocabulary: await vocabularyOf(folder, loaded.graph.vocab),
    ...loaded,
    files,
    objectFiles: await openObjectFiles(life, config, { clock, log }),
    ...{ bus, clock, surroundings, faults, log, tracer },
    onOver: (why) => own.end(why),
  });
  life.use(worker, () => worker.stop());
  const addresses = await worker.start();
  const { wallMs } = surroundings;
  await sendMetrics(life, config.trace, { ...named, registry: worker.metrics, clock, wallMs });
  const checks = [() => charter.check(), generationCheck({ transport, config }, () => worker.generation)];
  await life.start(new BucketKeeper({ bus, clock, subjects: fleetSubjects(config.namespace), checks }));
  await life.start(new OpenFilesWatch(clock, log));
  await settled(bus);
  serving = true;
  log.info(addresses, 'serving');
  return {
    registry: worker.metrics,
    ready: { id, incarnation, ...addresses },
    reload: (options) => reloads.run(options),
    stopMs: PROCESS_STOP_MS + config.handOverMs,
    stop: async () => {
      await life.stop();
      log.info({}, 'stopped');
      own.check(id);
    },
  };
}

/** The end of a worker that was not asked to stop. */
class OwnEnd {
  private reason: string | null = null;

  constructor(private readonly log: Log) {}

  /** Makes the process end. Only the first reason counts. */
  end(why: string): void {
    if (this.reason !== null) return;
    this.reason = why;
    this.log.error({}, `this worker exits: ${why}`);
    process.kill(process.pid, 'SIGTERM');
  }

  /** @throws Unavailable if it ended without being asked to: the exit code is then not zero, so that its supervisor restarts the worker */
  check(id: string): void {
    if (this.reason !== null) throw new Unavailable(`worker ${id} exited by itself: ${this.reason}`);
  }
}

interface OpenModel extends TriedModel {
  readonly folder: ModelFolder;
  readonly graph: ModelGraph;
  readonly device: Device;
  readonly deviceReason: string;
  readonly contextReason: string;
  readonly draftTokens: number;
  readonly modelFiles: OwnModel | null;
}

/** Opens model, graph and device. `life` releases them before the process exits, where a GPU's provider may crash and hide the cause. */
async function openModel(
  life: Lifecycle,
  config: WorkerConfig,
  leaving: AbortSignal,
  clock: Clock,
  log: Log,
): Promise<OpenModel> {
  const { provider, why } = chooseDevice(config.device, surveyDevices());
  const folder = await openModelFolder(config.modelDir, { ...config.graph, device: provider.name });
  const runtime = life.use(OrtRuntime.open(), (open) => open.release());
  const graphFile = relative(folder.dir, folder.graphPath);
  const { name: model, graphWhy } = folder;
  log.info(
    { model, device: provider.name, why, graph: graphFile, graphWhy, ort: runtime.version },
    'loading the model',
  );
  const graph = life.use(
    await loadModelGraph(runtime, folder, {
      provider,
      threads: config.threads,
      allowSpinning: true,
      weightCache: weightCacheOf(config, clock, leaving),
    }),
    (loaded) => loaded.release(),
  );
  logDependence(graph, log);
  const context = await contextOf(folder, graph, provider, config);
  log.info({ contextTokens: context.tokens, why: context.why, weights: graph.weights }, 'loaded the model');
  if (graph.weights.kind === 'failed') log.warn({}, `this worker has weights of its own: ${graph.weights.why}`);
  if (config.cache) checkBudgets(graph.layout, config);
  const device = life.use(
    await openDevice(runtime, provider, {
      layout: graph.layout,
      blockBudgetBytes: config.cacheBytes,
      slots: rowsOf(graph, config),
      capacityTokens: context.tokens,
    }),
    (open) => open.close(),
  );
  if (config.cache && device instanceof CpuDevice) void device.commitAhead();
  logRunLimit(device, log);
  const tried =
    config.trial || needsTrial(graph)
      ? await tryModel(graph, device, config.prefill.chunkTokens, log)
      : { trial: null, makeRunner: runnerOf };
  const draftTokens = draftTokensOf(graph, tried.trial, config.draftTokens, log);
  const short = (reason: string) => reason.slice(0, DEVICE_REASON_CHARS);
  const modelFiles = await ownModel(config.modelDir, folder);
  return {
    folder,
    graph,
    device,
    deviceReason: short(why),
    contextReason: short(context.why),
    modelFiles,
    draftTokens,
    ...tried,
  };
}

/** Logs the bound of a run where the device has one. */
function logRunLimit({ kind, longestRunTokens }: Device, log: Log): void {
  if (!Number.isFinite(longestRunTokens)) return;
  log.warn(
    { longestRunTokens },
    `ONNX Runtime computes longer runs wrong on this ${kind} adapter: prompts are computed in shorter ones`,
  );
}

function weightCacheOf({ sharedWeightsDir }: WorkerConfig, clock: Clock, leaving: AbortSignal): WeightCache | null {
  return sharedWeightsDir === null ? null : new WeightCache(sharedWeightsDir, clock, { signal: leaving });
}

/** Rows of K/V. Where a graph appends to them and takes adapters, its runner needs one more than there are sequences. */
function rowsOf({ kind, loraInputs, session }: ModelGraph, { sequences }: WorkerConfig): number {
  if (loraInputs.length === 0 || kind !== 'in-place') return sequences;
  return session.provider === 'webgpu' ? 1 : sequences + 1;
}

/** Chooses the longest sequence. On the CPU, K/V shares the memory of the machine with weights and caches. */
async function contextOf(
  folder: ModelFolder,
  graph: ModelGraph,
  provider: Provider,
  config: WorkerConfig,
): Promise<ContextChoice> {
  const { byteLength } = await weightDigests(folder);
  const adapterBytes = graph.loraInputs.length === 0 ? 0 : config.adapterBytes;
  const freeBytes = provider.name === 'cpu' ? sequenceBytes(config, byteLength + adapterBytes) : null;
  return chooseContext({
    askedTokens: config.contextTokens,
    modelTokens: graph.contextTokens,
    sequences: rowsOf(graph, config),
    layout: graph.layout,
    run: runDemand(folder, graph, config.prefill.chunkTokens),
    freeBytes,
  });
}

/** Opens the folder of objects on disk. `life` closes it. */
async function openObjectFiles(
  life: Lifecycle,
  { objectBytes, objectDiskBytes, diskCacheDir }: WorkerConfig,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<BlockFiles | null> {
  if (objectBytes === 0 || objectDiskBytes === 0 || diskCacheDir === null) return null;
  const files = await openedInTime(
    () => BlockFolder.open(join(diskCacheDir, 'objects'), (doubt) => log.warn({}, doubt)),
    clock,
  );
  return life.use(files, (open) => within(clock, FILES_CLOSE_MS, open.close()));
}

/** Opens the folder of the disk tier. `life` closes it too, in case the start fails before the worker can. */
async function openFiles(
  life: Lifecycle,
  { cache, diskCacheDir }: WorkerConfig,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<BlockFiles | null> {
  if (!cache || diskCacheDir === null) return null;
  const files = await openedInTime(() => BlockFolder.open(diskCacheDir, (doubt) => log.warn({}, doubt)), clock);
  // A disk that does not answer must not keep the process from its end.
  return life.use(files, (open) => within(clock, FILES_CLOSE_MS, open.close()));
}
