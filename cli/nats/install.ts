import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { installerEnvironment, serverEnvironment } from './environment.js';

/** Installs a program into the cache folder, completely or not at all. */

/** How long one run of apt-get or dpkg-deb may take. */
const NATS_PACKAGE_TIMEOUT_MS = 180_000;

const execFileAsync = promisify(execFile);

/** Runs a program to its end and returns its standard output. Rejects with the end of its standard error. */
export async function runProgram(file: string, args: readonly string[], cwd?: string): Promise<string> {
  const env = { ...installerEnvironment(), LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
  try {
    const { stdout } = await execFileAsync(file, args, { cwd, env, timeout: NATS_PACKAGE_TIMEOUT_MS });
    return stdout;
  } catch (error) {
    const stderr = (error as { stderr?: string }).stderr?.trim();
    const reason = stderr || (error instanceof Error ? error.message : String(error));
    throw new Error(`cannot run ${file} ${args[0] ?? ''}: ${reason.split('\n').slice(-3).join(' ')}`);
  }
}

/** Version of a nats-server, such as `2.9.10`; null if the file does not run or is something else. */
export async function natsServerVersion(path: string): Promise<string | null> {
  try {
    const { stdout } = await execFileAsync(path, ['--version'], { env: serverEnvironment(), timeout: 10_000 });
    return /nats-server: v?(\d+\.\d+\.\d+\S*)/.exec(stdout)?.[1] ?? null;
  } catch {
    return null;
  }
}

/**
 * Installs a program as `<cacheDir>/<name>/nats-server`. `fetch` puts the program anywhere in the empty scratch folder and returns its
 * path. A rename then publishes the folder at once, so that concurrent runs never see a partial installation; the first run wins.
 */
export async function install(
  cacheDir: string,
  name: string,
  fetch: (scratchDir: string) => Promise<string>,
): Promise<string> {
  await mkdir(cacheDir, { recursive: true, mode: 0o700 });
  const scratchDir = await mkdtemp(join(cacheDir, '.partial-'));
  try {
    const found = await fetch(scratchDir);
    const readyDir = join(scratchDir, 'ready');
    await mkdir(readyDir);
    await copyFile(found, join(readyDir, 'nats-server'));
    await chmod(join(readyDir, 'nats-server'), 0o755);
    if ((await natsServerVersion(join(readyDir, 'nats-server'))) === null)
      throw new Error('the program does not run on this machine');
    await rename(readyDir, join(cacheDir, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
    return join(cacheDir, name, 'nats-server');
  } finally {
    await rm(scratchDir, { recursive: true, force: true });
  }
}
