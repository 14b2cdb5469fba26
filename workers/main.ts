import { hostname } from 'node:os';
import { connectNats } from '../src/bus/nats-bus.js';
import { type Clock, SystemClock } from '../src/clock.js';
import type { WorkerConfig } from '../src/config/worker-config.js';
import { chooseDevice, surveyDevices } from '../src/device/choose.js';
import { CpuDevice } from '../src/device/cpu/cpu-device.js';
import type { Device } from '../src/device/device.js';
import { openDevice } from '../src/device/open.js';
import { loadModelGraph, type ModelGraph } from '../src/engine/model-graph.js';
import { Unavailable } from '../src/errors.js';
import { newIncarnation } from '../src/fleet/identity.js';
import { joinFleet } from '../src/fleet/joining.js';
import { DEVICE_REASON_CHARS } from '../src/limits.js';
import { createLog, type Log } from '../src/log.js';
import { modelFingerprint } from '../src/model/fingerprint.js';
import { type ModelFolder, openModelFolder } from '../src/model/folder.js';
import { OrtRuntime } from '../src/ort/runtime.js';
import type { RunningRole } from '../src/running-role.js';
import { checkBudgets } from './budgets.js';
import { BlockFolder } from './cache/block-folder.js';
import { Worker } from './worker.js';

/**
 * Runs one worker in this process: loads the model, joins the fleet, answers. Resolves when it serves.
 * @throws Refused for a model, device or budget that cannot be, or does not fit the fleet, Cancelled where it waited for NATS when `leaving` was raised
 */
export async function runWorker(config: WorkerConfig, leaving: AbortSignal): Promise<RunningRole> {
  const incarnation = newIncarnation();
  const log = createLog({ level: config.logLevel, fields: { role: 'worker', worker: config.id, incarnation } });
  const clock = new SystemClock();
  const model = await openModel(config, log);
  const { folder, graph, device } = model;
  const { bus, fingerprint, files } = await join(config, model, clock, log, leaving).catch((error) => {
    model.release();
    throw error;
  });
  let over: string | null = null;
  const worker = new Worker({
    config,
    identity: { id: config.id, incarnation, pid: process.pid, host: hostname() },
    fingerprint,
    eosTokenIds: folder.eosTokenIds,
    graph,
    device,
    deviceReason: model.deviceReason.slice(0, DEVICE_REASON_CHARS),
    files,
    bus,
    clock,
    log,
    onOver: (why) => {
      over = why;
      log.error({}, `this worker ends: ${why}`);
      process.kill(process.pid, 'SIGTERM');
    },
  });
  const addresses = await worker.start();
  log.info(addresses, 'serving');
  return {
    ready: { id: config.id, incarnation, ...addresses },
    stop: async () => {
      await worker.stop();
      await bus.close();
      model.release();
      log.info({}, 'stopped');
      // So that whoever watches the process sees that nobody told it to go.
      if (over !== null) throw new Unavailable(`worker ${config.id} ended by itself: ${over}`);
    },
  };
}

interface OpenModel {
  readonly folder: ModelFolder;
  readonly graph: ModelGraph;
  readonly device: Device;
  readonly deviceReason: string;
  /** Not left to the end of the process: a GPU's provider may crash there, and hide why the worker ended. */
  release(): void;
}

async function openModel(config: WorkerConfig, log: Log): Promise<OpenModel> {
  const folder = await openModelFolder(config.modelDir);
  const { provider, why } = chooseDevice(config.device, surveyDevices());
  const runtime = OrtRuntime.open();
  log.info({ model: folder.name, device: provider.name, why, ort: runtime.version }, 'loading the model');
  const graph = await loadModelGraph(runtime, folder, { provider, threads: config.threads, allowSpinning: false });
  try {
    if (config.cache) checkBudgets(graph.layout, config);
    const device = await openDevice(runtime, provider, {
      layout: graph.layout,
      blockBudgetBytes: config.cacheBytes,
      slots: config.sequences,
      capacityTokens: Math.min(config.contextTokens, graph.contextTokens),
    });
    if (config.cache && device instanceof CpuDevice) void device.commitAhead();
    const release = () => {
      device.close();
      graph.release();
      runtime.release();
    };
    return { folder, graph, device, deviceReason: why, release };
  } catch (error) {
    graph.release();
    runtime.release();
    throw error;
  }
}

async function join(config: WorkerConfig, { folder, graph }: OpenModel, clock: Clock, log: Log, leaving: AbortSignal) {
  const files = config.cache && config.diskCacheDir !== null ? await BlockFolder.open(config.diskCacheDir) : null;
  const fingerprint = await modelFingerprint(folder, graph.layout);
  const bus = await connectNats({
    url: config.nats.url,
    ...(config.nats.user === null ? {} : { user: config.nats.user }),
    ...(config.nats.password === null ? {} : { password: config.nats.password }),
    name: `shoal worker ${config.id}`,
    waitForServer: true,
    signal: leaving,
    onWaiting: ({ message }) => log.warn({}, `trying again: ${message}`),
  });
  try {
    await joinFleet({ bus, clock, log, config, fingerprint, model: folder.name });
    return { bus, fingerprint, files };
  } catch (error) {
    await bus.close();
    throw error;
  }
}
