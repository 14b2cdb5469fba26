import { ran } from './programs.js';

/** Whether containers can be had here, and what to run Compose with. */
export type Engine =
  | { readonly there: false; readonly why: string }
  | { readonly there: true; readonly compose: readonly string[]; stop(): void };

/** Sees to an engine, Compose and base images by engine.sh, which says what it needs for that. */
export async function startEngine(): Promise<Engine> {
  const { code, out, err } = await ran('bash', ['test/deploy/engine.sh']);
  const lastLine = out.trim().split('\n').at(-1) ?? '';
  if (code === 3) return { there: false, why: lastLine };
  if (code !== 0) throw new Error(`test/deploy/engine.sh ended with ${code}: ${err}`);
  const started = /^started (\d+)$/.exec(lastLine)?.[1];
  const v2 = await ran('docker', ['compose', 'version']);
  return {
    there: true,
    compose: v2.code === 0 ? ['docker', 'compose'] : ['docker-compose'],
    stop: () => {
      if (started !== undefined) process.kill(Number(started), 'SIGTERM');
    },
  };
}
