import { dirname } from 'node:path';
import { SystemClock } from '../src/clock.js';
import {
  type ConfigSource,
  readCoordinatorConfig,
  readNodeConfig,
  readValues,
  readWorkerConfig,
} from '../src/config/config.js';
import type { HostingConfig } from '../src/config/hosting-config.js';
import { namedHubId } from '../src/config/model-folder.js';
import type { WorkerConfig } from '../src/config/worker-config.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import { ShoalError } from '../src/errors.js';
import type { PullEvent } from '../src/hub/pull-ports.js';
import { createLog, type LogLevel } from '../src/log.js';
import type { MetricsRegistry } from '../src/metrics/registry.js';
import type { GraphWish } from '../src/model/graph-choice.js';
import type { RunningRole } from '../src/running-role.js';
import type { CommandContext } from './context.js';
import { checkedConfig, settledConfig } from './hub-model.js';
import type { JoinedFleet } from './model-in-fleet.js';
import { openParentLink, type ParentLink } from './process/parent-link.js';
import { runRole } from './process/role.js';
import { LineReport } from './pull-report.js';
import { OptionReload } from './reload.js';

/** `shoal coordinator` and `shoal worker`: runs one coordinator until a signal comes or its parent is gone. */
export function coordinator(context: CommandContext): Promise<number> {
  const checked = checkedConfig('coordinator', context, readCoordinatorConfig);
  const link = openParentLink();
  return role(context, 'coordinator', link, async (leaving) => {
    // Its workers choose a graph by their device, which it does not know.
    const config = await withModel('coordinator', context, readCoordinatorConfig, checked, async () => 'cpu', leaving);
    const { runCoordinator } = await import('../coordinator/main.js');
    const running = await runCoordinator(config, leaving);
    link?.listen(({ worker, incarnation }) => running.workerKilled(worker, incarnation));
    return running;
  });
}

/** Runs one worker until a signal comes or its parent is gone. */
export async function worker(context: CommandContext): Promise<number> {
  const checked = checkedConfig('worker', context, readWorkerConfig);
  const link = openParentLink();
  const code = await role(context, 'worker', link, async (leaving) => {
    const device = async () => {
      const { chooseDevice, surveyDevices } = await import('../src/device/choose.js');
      return chooseDevice(checked.device, surveyDevices()).provider.name;
    };
    const config = await withModel('worker', context, readWorkerConfig, checked, device, leaving);
    const { runWorker } = await import('../workers/main.js');
    const running = await runWorker(config, leaving);
    return config.hosting === null ? running : withNode(running, config, config.hosting, leaving);
  });
  const { socketPath } = checked.peer;
  if (link !== null && !process.connected && socketPath !== null) await leaveFolder(dirname(socketPath));
  return code;
}

/** Runs one node until a signal comes or its parent is gone. */
export async function node(context: CommandContext): Promise<number> {
  const config = readNodeConfig(context);
  return role(context, 'node', openParentLink(), async (leaving) => {
    const { runNode } = await import('../src/runtime/run-node.js');
    return runNode(config, leaving);
  });
}

/** A worker with a node in its process. Both stop, the node first, so that its actors can still use the worker. */
async function withNode(
  running: RunningRole & { readonly registry: MetricsRegistry },
  config: WorkerConfig,
  hosting: HostingConfig,
  leaving: AbortSignal,
): Promise<RunningRole> {
  const { runNodeBeside } = await import('../src/runtime/run-node.js');
  const beside = await runNodeBeside(config, hosting, running.registry, leaving).catch(async (error) => {
    await running.stop();
    throw error;
  });
  return {
    ...running,
    reload: async (options) => {
      const faults = await Promise.all([running.reload?.(options), beside.reload?.(options)]);
      return faults.flatMap((each) => each ?? []);
    },
    stop: async () => {
      await beside.stop();
      await running.stop();
    },
  };
}

/** The configuration with the model of the hub downloaded, from members of the fleet or from the hub, if it names one. */
async function withModel<T extends JoinedFleet & { readonly logLevel: LogLevel }>(
  name: 'coordinator' | 'worker',
  context: CommandContext,
  read: (source: ConfigSource) => T,
  checked: T,
  device: () => Promise<GraphWish['device']>,
  signal: AbortSignal,
): Promise<T> {
  const id = namedHubId(readValues(name, context).model);
  if (id === null) return checked;
  const log = createLog({ level: checked.logLevel, fields: { role: name } });
  const clock = new SystemClock();
  const report = new LineReport((text) => log.info({}, text), clock);
  const ports = { clock, signal, onEvent: (event: PullEvent) => report.onEvent(event) };
  const wished = await device();
  const { withModelInFleet } = await import('./model-in-fleet.js');
  const { config, why } = await withModelInFleet(name, checked, id, ports, (inFleet) =>
    settledConfig(name, context, read, wished, ports, inFleet),
  );
  log.info({ why }, 'the model is on this machine');
  return config;
}

/** The parent owns the folder of sockets. If the parent was killed, the last of its workers removes the folder. */
async function leaveFolder(folder: string): Promise<void> {
  const { LockedFolder } = await import('./process/locked-folder.js');
  LockedFolder.removeIfAbandoned(folder);
}

function role(
  context: CommandContext,
  name: 'coordinator' | 'worker' | 'node',
  link: ParentLink | null,
  start: (leaving: AbortSignal) => Promise<RunningRole>,
): Promise<number> {
  const line = (level: string, msg: string, more: object = {}) =>
    context.io.err(`${JSON.stringify({ level, time: new Date().toISOString(), role: name, msg, ...more })}\n`);
  const reload = new OptionReload(name, context, line);
  const describe = (error: unknown) => (error instanceof Error ? error.message : String(error));
  // The role's log may not be open yet, or may be closed already. Write the line directly.
  const onError = (error: unknown) => {
    // A refusal says what to do; where in the code it was made helps nobody.
    const isPlain = error instanceof ShoalError || error instanceof WrongUsage;
    line('fatal', describe(error), { stack: error instanceof Error && !isPlain ? error.stack : undefined });
  };
  const onGivenUp = () => {
    const level = readValues(name, context).logLevel ?? 'info';
    createLog({ level, fields: { role: name } }).info({}, 'stopped before it had started');
  };
  return runRole({ start, describe, onError, onGivenUp, onHangup: (running) => reload.run(running) }, link);
}
