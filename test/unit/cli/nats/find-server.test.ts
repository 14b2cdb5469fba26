import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { existingNatsServer, findNatsServer, serversIn } from '../../../../cli/nats/find-server.js';
import { type NatsRelease, releaseFolder, releasePlatform } from '../../../../cli/nats/release.js';
import { cacheFolder } from '../../../../src/config/cache-folder.js';
import { Refused, Unavailable } from '../../../../src/errors.js';

let dir: string;
let env: Record<string, string>;
let cacheDir: string;
let web: Server | null;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
  env = { XDG_CACHE_HOME: join(dir, 'cache'), PATH: join(dir, 'bin') };
  cacheDir = serversIn(cacheFolder(env)!);
  web = null;
});

afterEach(async () => {
  web?.close();
  await rm(dir, { recursive: true, force: true });
});

/** A program that reports the version of a nats-server. */
async function fakeServer(path: string, version = '2.10.1'): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\necho "nats-server: v${version}"\n`);
  await chmod(path, 0o755);
  return path;
}

/** A release, served by a web server of this test. */
async function fakeRelease(answer: (archive: Buffer) => Buffer = (archive) => archive): Promise<NatsRelease> {
  const stem = `nats-server-v9.9.9-${releasePlatform()}`;
  await fakeServer(join(dir, 'made', stem, 'nats-server'), '9.9.9');
  const archive = execFileSync('tar', ['-czf', '-', '-C', join(dir, 'made'), stem]);
  web = createServer((request, response) => {
    if (request.url === `/v9.9.9/${stem}.tar.gz`) response.end(answer(archive));
    else response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(web, 'listening');
  const address = web.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const sha256 = { [releasePlatform()]: createHash('sha256').update(archive).digest('hex') };
  return { version: '9.9.9', baseUrl: `http://127.0.0.1:${port}`, sha256 };
}

const nowhere: NatsRelease = { version: '9.9.9', baseUrl: 'http://127.0.0.1:9', sha256: { [releasePlatform()]: '0' } };

describe('an existing nats-server', () => {
  test('is not taken from a cache folder that others may write to', async () => {
    await fakeServer(join(cacheDir, 'debian', 'nats-server'));
    const steps: string[] = [];
    const find = () => existingNatsServer({ env, release: nowhere, onProgress: (line) => steps.push(line) });
    expect(await find()).not.toBeNull();
    for (const open of [cacheFolder(env)!, cacheDir]) {
      await chmod(open, 0o777);
      expect(await find()).toBeNull();
      expect(steps.at(-1)).toMatch(/^skipping the servers in .*: others may write to .* \(mode 777\)/);
      await chmod(open, 0o755);
    }
    await chmod(cacheFolder(env)!, 0o777);
    const install = findNatsServer({ env, release: nowhere, debian: false });
    await expect(install).rejects.toThrow(/^cannot install nats-server: others may write to .* \(mode 777\)/);
  });

  test('is taken from the option, the environment, PATH, and the cache, in this order', async () => {
    const option = await fakeServer(join(dir, 'option'));
    const variable = await fakeServer(join(dir, 'variable'));
    const inPath = await fakeServer(join(dir, 'bin', 'nats-server'));
    const pinned = await fakeServer(join(cacheDir, releaseFolder(nowhere), 'nats-server'));
    const debian = await fakeServer(join(cacheDir, 'debian', 'nats-server'));
    const options = { release: nowhere, debian: false };
    const named = { ...env, SHOAL_NATS_SERVER: variable };
    expect(await findNatsServer({ ...options, env: named, path: option })).toEqual({ path: option, version: '2.10.1' });
    expect(await findNatsServer({ ...options, env: named })).toMatchObject({ path: variable });
    expect(await findNatsServer({ ...options, env })).toMatchObject({ path: inPath });
    await rm(inPath);
    expect(await findNatsServer({ ...options, env })).toMatchObject({ path: pinned });
    await rm(pinned);
    expect(await findNatsServer({ ...options, env })).toMatchObject({ path: debian });
  });

  test('in PATH needs no cache folder, and an installation says how to give one', async () => {
    const path = await fakeServer(join(dir, 'bin', 'nats-server'));
    const file = join(dir, 'a-file');
    await writeFile(file, '');
    for (const home of [{ HOME: file }, { HOME: file, XDG_CACHE_HOME: join(file, 'cache') }]) {
      expect(await findNatsServer({ env: { PATH: env.PATH!, ...home } })).toMatchObject({ path });
    }
    await rm(path);
    const installing = findNatsServer({ env: { PATH: env.PATH!, HOME: file }, release: nowhere, debian: false });
    await expect(installing).rejects.toThrow(
      new RegExp(`^cannot install nats-server in ${file}/.cache/shoal: ENOTDIR.*; set XDG_CACHE_HOME .*--nats`),
    );
    await expect(installing).rejects.toThrow(Unavailable);
    expect(await existingNatsServer({ env: { PATH: env.PATH!, HOME: file } })).toBeNull();
  });

  test('is refused if the user gave it and it does not work', async () => {
    const other = join(dir, 'other');
    await writeFile(other, '#!/bin/sh\necho something else\n', { mode: 0o755 });
    for (const path of ['/no/such/file', other, await fakeServer(join(dir, 'old'), '2.2.0')]) {
      await expect(findNatsServer({ path, env })).rejects.toThrow(Refused);
      await expect(findNatsServer({ env: { ...env, SHOAL_NATS_SERVER: path } })).rejects.toThrow(path);
    }
  });

  test('is skipped if it was found by search and is too old', async () => {
    await fakeServer(join(dir, 'bin', 'nats-server'), '2.2.0');
    const pinned = await fakeServer(join(cacheDir, releaseFolder(nowhere), 'nats-server'));
    const lines: string[] = [];
    const found = await findNatsServer({ env, release: nowhere, onProgress: (line) => lines.push(line) });
    expect(found.path).toBe(pinned);
    expect(lines).toEqual([expect.stringContaining('2.2.0')]);
  });
});

describe('the release', () => {
  test('is downloaded into the cache, and found there afterwards', async () => {
    const release = await fakeRelease();
    const path = join(cacheDir, releaseFolder(release), 'nats-server');
    const lines: string[] = [];
    const found = await findNatsServer({ env, release, debian: false, onProgress: (line) => lines.push(line) });
    expect(found).toEqual({ path, version: '9.9.9' });
    expect(lines).toEqual([expect.stringContaining('downloading http'), expect.stringContaining(path)]);
    web?.close();
    expect(await findNatsServer({ env, release, debian: false })).toEqual(found);
    expect(await readdir(cacheDir)).toEqual([releaseFolder(release)]);
  });

  test('is installed once by concurrent runs', async () => {
    const release = await fakeRelease();
    const runs = Array.from({ length: 4 }, () => findNatsServer({ env, release, debian: false }));
    const paths = new Set((await Promise.all(runs)).map((found) => found.path));
    expect(paths.size).toBe(1);
    expect(await readdir(cacheDir)).toEqual([releaseFolder(release)]);
  });

  test('is refused if its checksum differs from the published one, and leaves no file behind', async () => {
    const release = await fakeRelease((archive) => {
      const changed = Buffer.from(archive);
      changed.writeUInt8(changed.readUInt8(100) ^ 1, 100);
      return changed;
    });
    const outcome = findNatsServer({ env, release, debian: false });
    await expect(outcome).rejects.toThrow(/cannot trust .* SHA-256/);
    expect(await readdir(cacheDir).catch(() => [])).toEqual([]);
  });

  test('leads to an error with the ways to get a server if it is not available', async () => {
    const outcome = findNatsServer({ env, release: nowhere, debian: false });
    await expect(outcome).rejects.toThrow(Unavailable);
    for (const way of ['apt-get install', 'SHOAL_NATS_SERVER', '--nats']) await expect(outcome).rejects.toThrow(way);
  });

  test('is not downloaded for a platform without a published checksum', async () => {
    const release = { ...(await fakeRelease()), sha256: {} };
    await expect(findNatsServer({ env, release, debian: false })).rejects.toThrow('no checksum is pinned');
  });
});
