import { rmdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { readCoordinatorConfig, readWorkerConfig } from '../src/config/config.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import { openParentLink, type ParentLink } from '../src/process/parent-link.js';
import { type RunningRole, runRole } from '../src/process/role.js';
import type { CommandContext } from './context.js';

/** Runs one coordinator until a signal comes, or the process that started it is gone. */
export function coordinator(context: CommandContext): Promise<number> {
  return role(context, 'coordinator', openParentLink(), async () => {
    const config = readCoordinatorConfig(context);
    const { runCoordinator } = await import('../coordinator/main.js');
    return runCoordinator(config);
  });
}

/** Runs one worker until a signal comes, or the process that started it is gone. */
export async function worker(context: CommandContext): Promise<number> {
  const link = openParentLink();
  let socketPath: string | null = null;
  const code = await role(context, 'worker', link, async () => {
    const config = readWorkerConfig(context);
    socketPath = config.peer.socketPath;
    const { runWorker } = await import('../workers/main.js');
    return runWorker(config);
  });
  if (link !== null && !process.connected && socketPath !== null) removeIfEmpty(dirname(socketPath));
  return code;
}

/** The folder of sockets is the parent's, but a parent that was killed could not remove it: the last of its workers does. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Others are still there.
  }
}

async function role(
  context: CommandContext,
  name: string,
  link: ParentLink | null,
  start: () => Promise<RunningRole>,
): Promise<number> {
  let wrongUsage = false;
  const options = {
    start,
    describe: (error: unknown) => (error instanceof Error ? error.message : String(error)),
    onError: (error: unknown) => {
      wrongUsage = error instanceof WrongUsage;
      context.io.err(wrongUsage ? `shoal: ${(error as WrongUsage).message}\n` : `${failureLine(name, error)}\n`);
    },
  };
  const code = await runRole(options, link);
  return wrongUsage ? 2 : code;
}

/** A role's last line, in the form of its log, which may not be open yet or may be closed again. */
function failureLine(name: string, error: unknown): string {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return JSON.stringify({ level: 'fatal', time: new Date().toISOString(), role: name, msg: message, stack });
}
