import { ran } from './programs.js';

/** Whether this machine can run containers, the command that runs Compose, and the images of others by the variables that name them. */
export type Engine =
  | { readonly there: false; readonly why: string }
  | {
      readonly there: true;
      readonly compose: readonly string[];
      readonly images: Readonly<Record<string, string>>;
      stop(): void;
    };

/** Provides a container engine, Compose and the base images, by running engine.sh. */
export async function startEngine(): Promise<Engine> {
  const { code, out, err } = await ran('bash', ['test/deploy/engine.sh']);
  const lastLine = out.trim().split('\n').at(-1) ?? '';
  if (code === 3) return { there: false, why: lastLine };
  if (code !== 0) throw new Error(`test/deploy/engine.sh: exit code ${code}: ${err}`);
  const started = /^started (\d+)$/.exec(lastLine)?.[1];
  const v2 = await ran('docker', ['compose', 'version']);
  return {
    there: true,
    images: Object.fromEntries([...out.matchAll(/^(\w+_IMAGE)=(\S+)$/gm)].map((match) => [match[1]!, match[2]!])),
    compose: v2.code === 0 ? ['docker', 'compose'] : ['docker-compose'],
    stop: () => {
      if (started !== undefined) process.kill(Number(started), 'SIGTERM');
    },
  };
}
