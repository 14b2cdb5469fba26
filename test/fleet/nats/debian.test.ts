import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { installFromDebian } from '../../../cli/nats/debian.js';
import { natsServerVersion } from '../../../cli/nats/install.js';

let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
});

afterAll(() => rm(dir, { recursive: true, force: true }));

describe.skipIf(!existsSync('/usr/bin/apt-get'))('the Debian package', () => {
  test('is unpacked into the cache, with private package lists if the system has none', async () => {
    const emptyLists = join(dir, 'lists');
    await mkdir(emptyLists);
    await writeFile(join(dir, 'apt.conf'), `Dir::State::Lists "${emptyLists}";\n`);
    vi.stubEnv('APT_CONFIG', join(dir, 'apt.conf'));
    const lines: string[] = [];
    const cacheDir = join(dir, 'cache');
    const path = await installFromDebian(cacheDir, (line) => lines.push(line));
    vi.unstubAllEnvs();
    expect(await natsServerVersion(path)).toMatch(/^2\.\d+\.\d+/);
    expect(lines).toContainEqual(expect.stringContaining('private folder'));
    expect((await readdir(cacheDir)).length).toBe(1);
    expect(await readdir(emptyLists)).not.toContainEqual(expect.stringContaining('Packages'));
  });
});
