import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export const ROOT = new URL('../../../', import.meta.url).pathname;

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a program in the repository's root. Resolves with its output for any exit code; rejects if the program does not exist. */
export async function ran(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<Ran> {
  try {
    const { stdout, stderr } = await promisify(execFile)(program, [...args], {
      cwd: ROOT,
      env,
      maxBuffer: 64 * 2 ** 20,
    });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string };
    if (typeof code !== 'number') throw error;
    return { code, out: stdout ?? '', err: stderr ?? '' };
  }
}

/** Runs a program that must succeed, and returns its output. */
export async function outputOf(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<string> {
  const { code, out, err } = await ran(program, args, env);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: exit code ${code}: ${err || out}`);
  return out.trim();
}
