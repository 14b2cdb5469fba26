import { access, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { install, runProgram } from './install.js';

/**
 * Takes nats-server out of Debian's or Ubuntu's package into the cache; nothing is installed on the system, and no root is needed.
 * Rejects where there is no apt, or it does not know the package.
 */
export async function installFromDebian(cacheDir: string, onProgress: (line: string) => void): Promise<string> {
  if (process.platform !== 'linux') throw new Error('there is no apt on this system');
  await runProgram('apt-get', ['--version']);
  return install(cacheDir, `debian-${process.arch}`, async (scratchDir) => {
    onProgress('fetching the Debian package nats-server with apt-get');
    const options = await downloadPackage(scratchDir, [])
      .then(() => 'from the lists of the system')
      .catch(async () => {
        onProgress('apt has no lists of packages yet: fetching them into a private folder with apt-get update');
        const own = await privateLists(scratchDir);
        await runProgram('apt-get', [...own, 'update'], scratchDir);
        await downloadPackage(scratchDir, own);
        return 'from private lists';
      });
    const archive = (await readdir(scratchDir)).find((file) => file.endsWith('.deb'));
    if (!archive) throw new Error(`apt-get download (${options}) left no package`);
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
  throw new Error('the package holds no nats-server');
}
