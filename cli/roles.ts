import { dirname } from 'node:path';
import { readCoordinatorConfig, readWorkerConfig } from '../src/config/config.js';
import type { RunningRole } from '../src/running-role.js';
import type { CommandContext } from './context.js';
import { openParentLink, type ParentLink } from './process/parent-link.js';
import { runRole } from './process/role.js';

/** `shoal coordinator` and `shoal worker`: runs one coordinator until a signal comes or its parent is gone. */
export function coordinator(context: CommandContext): Promise<number> {
  const config = readCoordinatorConfig(context);
  const link = openParentLink();
  return role(context, 'coordinator', link, async (leaving) => {
    const { runCoordinator } = await import('../coordinator/main.js');
    const running = await runCoordinator(config, leaving);
    link?.listen(({ worker, incarnation }) => running.workerKilled(worker, incarnation));
    return running;
  });
}

/** Runs one worker until a signal comes or its parent is gone. */
export async function worker(context: CommandContext): Promise<number> {
  const config = readWorkerConfig(context);
  const link = openParentLink();
  const code = await role(context, 'worker', link, async (leaving) => {
    const { runWorker } = await import('../workers/main.js');
    return runWorker(config, leaving);
  });
  const { socketPath } = config.peer;
  if (link !== null && !process.connected && socketPath !== null) await leaveFolder(dirname(socketPath));
  return code;
}

/** The parent owns the folder of sockets. If the parent was killed, the last of its workers removes the folder. */
async function leaveFolder(folder: string): Promise<void> {
  const { RunDirectory } = await import('./process/run-directory.js');
  RunDirectory.removeIfAbandoned(folder);
}

function role(
  context: CommandContext,
  name: string,
  link: ParentLink | null,
  start: (leaving: AbortSignal) => Promise<RunningRole>,
): Promise<number> {
  const describe = (error: unknown) => (error instanceof Error ? error.message : String(error));
  // The role's log may not be open yet, or may be closed already. Write the line directly.
  const onError = (error: unknown) => {
    const stack = error instanceof Error ? error.stack : undefined;
    const line = { level: 'fatal', time: new Date().toISOString(), role: name, msg: describe(error), stack };
    context.io.err(`${JSON.stringify(line)}\n`);
  };
  return runRole({ start, describe, onError }, link);
}
