import { readCoordinatorConfig, readWorkerConfig } from '../src/config/config.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import { type RunningRole, runRole } from '../src/process/role.js';
import type { CommandContext } from './context.js';

/** Runs one coordinator until a signal comes, or the process that started it is gone. */
export function coordinator(context: CommandContext): Promise<number> {
  return role(context, 'coordinator', async () => {
    const config = readCoordinatorConfig(context);
    const { runCoordinator } = await import('../coordinator/main.js');
    return runCoordinator(config);
  });
}

/** Runs one worker until a signal comes, or the process that started it is gone. */
export function worker(context: CommandContext): Promise<number> {
  return role(context, 'worker', async () => {
    const config = readWorkerConfig(context);
    const { runWorker } = await import('../workers/main.js');
    return runWorker(config);
  });
}

async function role(context: CommandContext, name: string, start: () => Promise<RunningRole>): Promise<number> {
  let wrongUsage = false;
  const code = await runRole({
    start,
    describe: (error) => (error instanceof Error ? error.message : String(error)),
    onError: (error) => {
      wrongUsage = error instanceof WrongUsage;
      context.io.err(wrongUsage ? `shoal: ${(error as WrongUsage).message}\n` : `${failureLine(name, error)}\n`);
    },
  });
  return wrongUsage ? 2 : code;
}

/** A role's last line, in the form of its log, which may not be open yet or may be closed again. */
function failureLine(name: string, error: unknown): string {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return JSON.stringify({ level: 'fatal', time: new Date().toISOString(), role: name, msg: message, stack });
}
