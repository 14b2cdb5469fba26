import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, open, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { Deferred } from '../../../src/async/deferred.js';
import { SimulatedClock, SystemClock } from '../../../src/clock.js';
import { Cancelled, Corrupt, Unavailable } from '../../../src/errors.js';
import { BlobLock } from '../../../src/hub/blob-lock.js';
import { download } from '../../../src/hub/download.js';
import { HubCache } from '../../../src/hub/hub-cache.js';
import type { PulledModel } from '../../../src/hub/pull.js';
import type { PullEvent } from '../../../src/hub/pull-ports.js';
import { sha256 } from '../../support/hub-server.js';
import { hubRig, ID, tinyModel } from './rig.js';

const rig = hubRig();
const DATA = 'onnx/model.onnx_data';
let data: Uint8Array;
let blob: string;

beforeEach(async () => {
  const files = await tinyModel();
  data = files[DATA]!;
  rig.hub.add(ID, files);
  blob = join(new HubCache(rig.cacheDir, ID).places.blobs, sha256(data));
});

/** The ranges in which the weights were asked for, from the store of large files. */
const ranges = () =>
  rig.hub.requests.filter(({ url }) => url.startsWith(`/${sha256(data)}`)).map(({ range }) => range ?? 'all');

/** A pull whose pauses are over as soon as they begin. Time stands still otherwise, however long the machine takes. */
function pullWithoutPauses(): { pulled: Promise<PulledModel>; clock: SimulatedClock } {
  const clock = new SimulatedClock();
  const onEvent = (event: PullEvent) => {
    if (event.type === 'retrying') setImmediate(() => clock.advance(event.inMs));
  };
  return { pulled: rig.pull(ID, { clock, onEvent }), clock };
}

describe('a download', () => {
  it('that is cut goes on where it was cut', async () => {
    rig.hub.faults.push({ url: DATA, kind: 'cut', afterBytes: 5_000 }, { url: DATA, kind: 'cut', afterBytes: 7_000 });
    const { dir } = await pullWithoutPauses().pulled;
    expect(sha256(await readFile(join(dir, DATA)))).toBe(sha256(data));
    expect(ranges()).toEqual(['all', expect.stringMatching(/^bytes=\d+-$/), expect.stringMatching(/^bytes=\d+-$/)]);
    const starts = ranges()
      .slice(1)
      .map((range) => Number(/\d+/.exec(range)![0]));
    expect(starts[0]).toBeGreaterThan(0);
    expect(starts[1]).toBeGreaterThan(starts[0]!);
    expect(rig.events.filter(({ type }) => type === 'retrying')).toHaveLength(2);
  });

  it('goes on with what an earlier process left, and tells how much that was', async () => {
    await mkdir(join(blob, '..'), { recursive: true });
    await writeFile(`${blob}.incomplete`, data.subarray(0, 4_321));
    await rig.pull();
    expect(ranges()).toEqual(['bytes=4321-']);
    expect(rig.events).toContainEqual({ type: 'started', path: DATA, doneBytes: 4_321, totalBytes: data.byteLength });
    expect(sha256(await readFile(blob))).toBe(sha256(data));
  });

  it('from a server without ranges skips what is there', async () => {
    await mkdir(join(blob, '..'), { recursive: true });
    await writeFile(`${blob}.incomplete`, data.subarray(0, 4_321));
    rig.hub.faults.push({ url: DATA, kind: 'no-ranges' });
    await rig.pull();
    expect(sha256(await readFile(blob))).toBe(sha256(data));
  });

  it('that a proxy compressed is unpacked, and begun again where the compressed form is continued', async () => {
    rig.hub.faults.push(
      ...['/revision/', '/tree/', 'config.json', DATA].map((url) => ({ url, kind: 'gzip' }) as const),
    );
    expect(sha256(await readFile(join((await rig.pull()).dir, DATA)))).toBe(sha256(data));
    await rm(blob);
    await writeFile(`${blob}.incomplete`, data.subarray(0, 4_321));
    rig.hub.faults.push({ url: DATA, kind: 'gzip' });
    await rig.pull();
    expect(ranges()).toEqual(['all', 'bytes=4321-', 'all']);
    expect(sha256(await readFile(blob))).toBe(sha256(data));
    expect(rig.hub.faults).toEqual([]);
  });

  it('whose compressed form is damaged, or unknown, is named', async () => {
    rig.hub.faults.push({ url: DATA, kind: 'damaged-gzip' });
    expect(sha256(await readFile(join((await pullWithoutPauses().pulled).dir, DATA)))).toBe(sha256(data));
    expect(rig.events).toContainEqual(
      expect.objectContaining({ type: 'retrying', why: expect.stringMatching(/its gzip encoding is damaged/) }),
    );
    rig.hub.faults.push({ url: '/revision/', kind: 'status', status: 200, headers: { 'content-encoding': 'zstd' } });
    await expect(rig.pull()).rejects.toThrow(/content-encoding is "zstd", which was not asked for/);
  });

  it('from a server that refuses a range asks for all of it', async () => {
    await mkdir(join(blob, '..'), { recursive: true });
    await writeFile(`${blob}.incomplete`, data.subarray(0, 4_321));
    rig.hub.faults.push({ url: DATA, kind: 'status', status: 416 });
    await rig.pull();
    expect(ranges()).toEqual(['all']);
    expect(sha256(await readFile(blob))).toBe(sha256(data));
  });

  it.each([
    ['another range', { 'content-range': 'bytes 0-9/10' }],
    ['a range without its place', {}],
  ])('from a server that answers with %s asks for all of it', async (_, headers) => {
    await mkdir(join(blob, '..'), { recursive: true });
    await writeFile(`${blob}.incomplete`, data.subarray(0, 4_321));
    rig.hub.faults.push({ url: DATA, kind: 'status', status: 206, headers });
    await rig.pull();
    expect(ranges()).toEqual(['all']);
    expect(sha256(await readFile(blob))).toBe(sha256(data));
  });

  it('onto a disk that is full is refused, with what to do', async () => {
    await mkdir(join(blob, '..'), { recursive: true });
    await symlink('/dev/full', `${blob}.incomplete`);
    await expect(rig.pull()).rejects.toThrow(
      /^cannot store .*onnx_data of shoal\/tiny-test: the disk is full; free some/,
    );
  });

  it('whose bytes are wrong is begun again once, and then refused without leaving them', async () => {
    rig.hub.faults.push({ url: DATA, kind: 'corrupt' });
    await rig.pull();
    expect(rig.events).toContainEqual({ type: 'again', path: DATA, why: 'its digest is wrong' });
    expect(sha256(await readFile(blob))).toBe(sha256(data));
    await rm(new HubCache(rig.cacheDir, ID).places.folder, { recursive: true });
    rig.hub.faults.push({ url: DATA, kind: 'corrupt' }, { url: DATA, kind: 'corrupt' });
    const second = rig.pull();
    await expect(second).rejects.toThrow(/its bytes are not those of digest/);
    await expect(second).rejects.toBeInstanceOf(Corrupt);
    expect((await readdir(join(blob, '..'))).filter((name) => name.startsWith(sha256(data)))).toEqual([]);
  });

  it('with wrong bytes of an earlier process is begun again', async () => {
    await mkdir(join(blob, '..'), { recursive: true });
    await writeFile(`${blob}.incomplete`, Buffer.alloc(4_321, 7));
    await rig.pull();
    expect(ranges()).toEqual(['bytes=4321-', 'all']);
    expect(sha256(await readFile(blob))).toBe(sha256(data));
  });

  it('of a small file is verified too', async () => {
    rig.hub.faults.push(...Array.from({ length: 2 }, () => ({ url: 'config.json', kind: 'corrupt' as const })));
    await expect(rig.pull()).rejects.toThrow(/config\.json of shoal\/tiny-test: its bytes are not those/);
  });

  it('waits as long as the hub asks where its rate limit is reached', async () => {
    const limited = { kind: 'status' as const, status: 429, headers: { 'retry-after': '120' } };
    rig.hub.faults.push({ ...limited, url: '/resolve/' }, { ...limited, url: '/revision/' });
    const { pulled, clock } = pullWithoutPauses();
    await pulled;
    expect(clock.now()).toBeGreaterThanOrEqual(240_000);
    expect(rig.events).toContainEqual(expect.objectContaining({ type: 'retrying', inMs: 120_000 }));
  });

  it('gives up after five attempts that brought nothing, with the reason', async () => {
    rig.hub.faults.push(...Array.from({ length: 5 }, () => ({ url: DATA, kind: 'status' as const, status: 503 })));
    const failed = pullWithoutPauses().pulled;
    await expect(failed).rejects.toThrow(
      /onnx_data of shoal\/tiny-test.*it answered with HTTP status 503; try again later/,
    );
    await expect(failed).rejects.toBeInstanceOf(Unavailable);
  });

  it('that stalls is asked for again after half a minute', async () => {
    const { pulled, clock } = pullWithoutPauses();
    rig.hub.faults.push({ url: DATA, kind: 'hang', afterBytes: 2_000, onHang: () => void clock.advance(60_000) });
    await pulled;
    expect(rig.events).toContainEqual(
      expect.objectContaining({ type: 'retrying', why: expect.stringMatching(/nothing came for 30 s/) }),
    );
    expect(sha256(await readFile(blob))).toBe(sha256(data));
  });

  it('can be stopped, and keeps what it has', async () => {
    const stop = new AbortController();
    rig.hub.faults.push({ url: DATA, kind: 'hang', afterBytes: 2_000, onHang: () => stop.abort() });
    const pulled = rig.pull(ID, { signal: stop.signal });
    await expect(pulled).rejects.toBeInstanceOf(Cancelled);
    await rig.pull();
    expect(sha256(await readFile(blob))).toBe(sha256(data));
  });

  it('of more than 2 GiB is counted and verified to its last byte', async () => {
    const TAIL = Buffer.from('the last bytes of a large file');
    const size = 2 ** 31 + TAIL.byteLength;
    const digest = digestOfZeros(2 ** 31, TAIL);
    const commit = 'c'.repeat(40);
    const cache = new HubCache(rig.cacheDir, ID);
    await mkdir(cache.places.blobs, { recursive: true });
    // All but the tail is there, as a file with a hole.
    await writeFile(join(cache.places.blobs, `${digest}.incomplete`), '');
    await truncate(join(cache.places.blobs, `${digest}.incomplete`), 2 ** 31);
    const asked: number[] = [];
    const api = {
      bytes: async (_id: unknown, _commit: unknown, _file: unknown, fromByte: number) => {
        asked.push(fromByte);
        return (async function* () {
          yield TAIL;
        })();
      },
    };
    const ports = { clock: new SystemClock(), signal: new AbortController().signal, onEvent: () => {} };
    const file = { path: 'large.data', byteLength: size, digest };
    await download(api, cache, { repository: ID, revision: 'main' }, commit, file, ports);
    expect(asked).toEqual([2 ** 31]);
    expect((await stat(join(cache.snapshot(commit), 'large.data'))).size).toBe(size);
  }, 600_000);
});

function digestOfZeros(zeros: number, tail: Uint8Array): string {
  const hash = createHash('sha256');
  const piece = Buffer.alloc(2 ** 23);
  for (let left = zeros; left > 0; left -= piece.byteLength) hash.update(piece);
  return hash.update(tail).digest('hex');
}

describe('several processes of a host', () => {
  it('download each file once, also those that come while it is loaded', async () => {
    const pulled = await Promise.all([rig.pull(), rig.pull(), rig.pull()]);
    expect(new Set(pulled.map(({ dir }) => dir)).size).toBe(1);
    const { filesAsked } = rig.hub;
    expect(filesAsked).toHaveLength(new Set(filesAsked).size);
  });

  it('are not held up by one that was killed with the lock', async () => {
    const path = join(new HubCache(rig.cacheDir, ID).places.locks, `${sha256(data)}.lock`);
    await mkdir(join(path, '..'), { recursive: true });
    const holder = await holderOf(path);
    const waiting = new Deferred<void>();
    const pulled = rig.pull(ID, { onEvent: ({ type }) => type === 'waiting' && waiting.resolve() });
    await waiting.promise;
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    await pulled;
    expect(sha256(await readFile(blob))).toBe(sha256(data));
  });

  it('do not take a lock file for one that was removed', async () => {
    const path = join(rig.cacheDir, 'a.lock');
    const first = (await BlobLock.tryAcquire(path))!;
    expect(await BlobLock.tryAcquire(path)).toBeNull();
    await rm(path);
    const second = (await BlobLock.tryAcquire(path))!;
    expect(second).not.toBeNull();
    await Promise.all([first.release(), second.release()]);
    await (await open(path)).close();
  });
});

/** A process of another program that has the lock. */
async function holderOf(path: string): Promise<ChildProcess> {
  const child = spawn('flock', ['--no-fork', path, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  expect(String(line)).toBe('held\n');
  return child;
}
