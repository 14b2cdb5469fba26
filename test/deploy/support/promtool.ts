import { mkdtemp, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { outputOf, ran } from './programs.js';

/** Finds promtool: on the path, else in Debian's package, unpacked into `folder`. `why` is the reason if there is none. */
export async function findPromtool(): Promise<{ path: string; folder: string | null } | { path: null; why: string }> {
  const onPath = await ran('promtool', ['--version']).catch(() => null);
  if (onPath?.code === 0) return { path: 'promtool', folder: null };
  const folder = await mkdtemp(join(tmpdir(), 'shoal-promtool-'));
  try {
    await outputOf('sh', [
      '-c',
      `cd ${folder} && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; }`,
    ]);
    const archive = (await readdir(folder)).find((file) => file.endsWith('.deb'));
    await outputOf('dpkg-deb', ['-x', join(folder, archive!), folder]);
    return { path: join(folder, 'usr/bin/promtool'), folder };
  } catch (error) {
    return { path: null, why: `cannot find promtool, or download the Debian package prometheus: ${error}` };
  }
}
