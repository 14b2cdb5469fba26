import { access, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { install, runProgram } from './install.js';

/**
 * Installs nats-server from the Debian or Ubuntu package into the cache folder. The system stays unchanged; root is not required.
 * Rejects if the machine has no apt, or apt does not know the package.
 */
export async function installFromDebian(cacheDir: string, onProgress: (line: string) => void): Promise<string> {
  if (process.platform !== 'linux') throw new Error('this system has no apt');
  await runProgram('apt-get', ['--version']);
  return install(cacheDir, `debian-${process.arch}`, async (scratchDir) => {
    onProgress('fetching the Debian package nats-server with apt-get');
    const options = await downloadPackage(scratchDir, [])
      .then(() => "with the system's package lists")
      .catch(async () => {
        onProgress('apt has no package lists; fetching them into a private folder with apt-get update');
        const own = await privateLists(scratchDir);
        await runProgram('apt-get', [...own, 'update'], scratchDir);
        await downloadPackage(scratchDir, own);
        return 'with private package lists';
      });
    const archive = (await readdir(scratchDir)).find((file) => file.endsWith('.deb'));
    if (!archive) throw new Error(`apt-get download (${options}) produced no package`);
    onProgress(`unpacking ${archive}`);
    await runProgram('dpkg-deb', ['-x', archive, 'unpacked'], scratchDir);
    return firstThatExists(['usr/sbin', 'usr/bin'].map((dir) => join(scratchDir, 'unpacked', dir, 'nats-server')));
  });
}

async function downloadPackage(dir: string, options: readonly string[]): Promise<void> {
  await runProgram('apt-get', [...options, 'download', 'nats-server'], dir);
}

async function privateLists(scratchDir: string): Promise<string[]> {
  const lists = join(scratchDir, 'apt', 'lists');
  const cache = join(scratchDir, 'apt', 'cache');
  await mkdir(join(lists, 'partial'), { recursive: true });
  await mkdir(join(cache, 'archives', 'partial'), { recursive: true });
  return ['-o', `Dir::State::Lists=${lists}`, '-o', `Dir::Cache=${cache}`];
}

async function firstThatExists(paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    const found = await access(path).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  throw new Error('the package contains no nats-server');
}
