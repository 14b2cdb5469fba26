import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Deferred } from '../../../../src/async/deferred.js';
import { SimulatedClock, settled } from '../../../../src/clock.js';
import type { SealedBlock } from '../../../../src/core/block.js';
import { Refused, Unavailable } from '../../../../src/errors.js';
import { createLog } from '../../../../src/log.js';
import { OrtRuntime } from '../../../../src/ort/runtime.js';
import { PacedLog } from '../../../../src/paced-log.js';
import { HEADER_BYTES } from '../../../../workers/cache/block-file.js';
import { type BlockFiles, NoRegularFile } from '../../../../workers/cache/block-folder.js';
import { DiskTier } from '../../../../workers/cache/disk-tier.js';
import { FOLDER_OPEN_MS, openedInTime } from '../../../../workers/cache/late-files.js';
import { STAGING_BLOCKS } from '../../../../workers/cache/lower-tiers.js';
import { READ_DEADLINE } from '../../../../workers/cache/read-deadline.js';
import { Staging } from '../../../../workers/cache/staging.js';
import { DISK_CHANGE_MS, DISK_PROBE_MS, DISK_READS } from '../../../../workers/cache/watched-files.js';
import { WorkerRetention } from '../../../../workers/retention.js';
import { FINGERPRINT } from '../../../support/announcement.js';
import { deferred } from '../../actors/world.js';
import { MemoryFiles } from '../support/block-files.js';
import { BLOCK_BYTES, Cache, chain, markOf, sealedOf } from '../support/cache.js';

const FILE_BYTES = HEADER_BYTES + BLOCK_BYTES;
/** Beyond any deadline of a read. */
const LATE_MS = READ_DEADLINE.mostMs + 100;
const AWAY = 'the disk cache is away: this worker continues without it';
const BACK = 'the disk cache answers again';

describe('a disk that hangs', () => {
  let files: MemoryFiles;
  let clock: SimulatedClock;
  let lines: string[];
  let changes: number;
  let computeMs: number | null;
  let runtime: OrtRuntime;
  let staging: Staging;
  let tier: DiskTier;
  const blocks = Array.from({ length: 6 }, (_, i) => sealedOf(chain(`prompt ${i}`, 1)[0]!));

  beforeEach(async () => {
    files = new MemoryFiles();
    clock = new SimulatedClock(1_000);
    lines = [];
    changes = 0;
    computeMs = null;
    runtime = OrtRuntime.open();
    staging = new Staging(runtime, BLOCK_BYTES, STAGING_BLOCKS);
    tier = make(files);
    await tier.open();
    for (const block of blocks.slice(0, 4)) await put(block);
  });
  afterEach(async () => {
    await tier.close();
    staging.close();
    runtime.release();
  });

  function make(over: BlockFiles, budgetBlocks = 100): DiskTier {
    return new DiskTier({
      files: over,
      fingerprint: FINGERPRINT,
      secret: 'k'.repeat(16),
      blockBytes: BLOCK_BYTES,
      budgetBytes: budgetBlocks * FILE_BYTES,
      staging,
      roleOf: () => 'guest',
      clock,
      log: new PacedLog(createLog({ level: 'info', write: (line) => lines.push(JSON.parse(line).msg) }), clock),
      computeMsPerBlock: () => computeMs,
      onAnswers: () => changes++,
      onDamage: () => {
        throw new Error('nothing is damaged');
      },
    });
  }
  const bytesOf = ({ key }: SealedBlock) => new Uint8Array(BLOCK_BYTES).fill(markOf(key));
  const put = (block: SealedBlock) => tier.put(block, bytesOf(block));
  const read = (block: SealedBlock, into = new Uint8Array(BLOCK_BYTES)) => tier.read(block.key, into);
  /** The outcome of a promise so far. */
  function outcomeOf<T>(promise: Promise<T>): { value: T | 'pending' } {
    const outcome: { value: T | 'pending' } = { value: 'pending' };
    promise.then((value) => {
      outcome.value = value;
    });
    return outcome;
  }

  it('costs a read its deadline, keeps the block, and writes late bytes into no memory of a reader', async () => {
    const gate = deferred();
    files.readGate = gate.promise;
    const into = new Uint8Array(BLOCK_BYTES).fill(1);
    const reading = outcomeOf(read(blocks[0]!, into));
    await clock.advance(READ_DEADLINE.leastMs - 1);
    expect([reading.value, tier.answers]).toEqual(['pending', true]);
    await clock.advance(100);
    expect([reading.value, tier.answers, tier.accepts, tier.hasRoom]).toEqual([false, false, false, false]);
    expect(tier.has(blocks[0]!.key)).toBe(true);
    into.fill(2);
    files.readGate = null;
    gate.resolve();
    await settled();
    expect(into.every((byte) => byte === 2)).toBe(true);
  });

  it('gets no requests while it is away, and is back as soon as it answers', async () => {
    const gate = deferred();
    files.readGate = gate.promise;
    files.gate = gate.promise;
    void read(blocks[0]!);
    await clock.advance(LATE_MS);
    const { reads, writes } = files;
    for (const block of blocks.slice(0, 3)) expect(await read(block)).toBe(false);
    expect(await put(blocks[5]!)).toBe(false);
    expect([files.reads, files.writes]).toEqual([reads, writes]);
    files.readGate = null;
    files.gate = null;
    gate.resolve();
    await clock.advance(0);
    expect([tier.answers, tier.accepts, changes]).toEqual([true, true, 2]);
    const into = new Uint8Array(BLOCK_BYTES);
    expect(await read(blocks[0]!, into)).toBe(true);
    expect(into).toEqual(bytesOf(blocks[0]!));
    expect(lines).toEqual([AWAY, BACK]);
  });

  it('bounds its reads, so that threads remain for the rest of the process', async () => {
    files.readGate = deferred().promise;
    const readings = blocks.slice(0, 4).map((block) => outcomeOf(read(block)));
    const before = files.reads;
    await clock.advance(LATE_MS);
    expect(readings.map(({ value }) => value)).toEqual([false, false, false, false]);
    await clock.advance(10 * DISK_PROBE_MS.longest);
    expect([files.reads - before, files.probes]).toEqual([DISK_READS - before, 0]);
    expect(tier.answers).toBe(false);
  });

  it('gets as much time as computing the block takes, or as reads usually take', async () => {
    computeMs = 400;
    files.readGate = deferred().promise;
    const slow = outcomeOf(read(blocks[0]!));
    await clock.advance(READ_DEADLINE.compute * 400 - 1);
    expect(slow.value).toBe('pending');
    await clock.advance(100);
    expect(slow.value).toBe(false);

    tier = make(files);
    files.readGate = null;
    await tier.open();
    computeMs = null;
    for (const block of blocks.slice(0, 4)) {
      const gate = deferred();
      files.readGate = gate.promise;
      const reading = read(block);
      await clock.advance(100);
      gate.resolve();
      expect(await reading).toBe(true);
    }
    files.readGate = deferred().promise;
    const usual = outcomeOf(read(blocks[0]!));
    await clock.advance(READ_DEADLINE.usual * 100 - 1);
    expect(usual.value).toBe('pending');
    await clock.advance(100);
    expect(usual.value).toBe(false);
  });

  it('holds one write and no memory of its callers, for a bounded time', async () => {
    files.gate = deferred().promise;
    const many = Array.from({ length: 40 }, (_, i) => sealedOf(chain(`write ${i}`, 1)[0]!));
    const { writes } = files;
    const writing = many.slice(0, 20).map((block) => outcomeOf(put(block)));
    for (const block of many.slice(20)) tier.take(block, bytesOf(block));
    await clock.advance(DISK_CHANGE_MS + 100);
    expect(new Set(writing.map(({ value }) => value))).toEqual(new Set([false]));
    expect(files.writes - writes).toBe(1);
    await tier.idle();
    const free = Array.from({ length: STAGING_BLOCKS }, () => staging.takeAtOnce());
    expect(free).not.toContain(null);
    for (const buffer of free) buffer!.release();
  });

  it('counts the file of a late write until the file is removed or rewritten', async () => {
    const gate = deferred();
    files.gate = gate.promise;
    const { bytes } = tier;
    const writing = put(blocks[4]!);
    await clock.advance(DISK_CHANGE_MS + 100);
    expect([await writing, tier.has(blocks[4]!.key), tier.bytes - bytes]).toEqual([false, false, FILE_BYTES]);
    files.gate = null;
    gate.resolve();
    await clock.advance(0);
    await tier.idle();
    expect([tier.answers, tier.bytes, files.bytes]).toEqual([true, bytes, bytes]);
    expect(await put(blocks[4]!)).toBe(true);
    expect(tier.bytes).toBe(files.bytes);
  });

  it('drops no block for a write that needs room', async () => {
    const gate = deferred();
    tier = make(files, 4);
    await tier.open();
    const stuck = deferred();
    files.remove = async () => stuck.promise;
    const writing = put(blocks[4]!);
    await clock.advance(DISK_CHANGE_MS + 100);
    expect(await writing).toBe(false);
    expect(tier.blocks).toBe(3);
    gate.resolve();
  });

  it('is probed after growing pauses', async () => {
    files.readGate = deferred().promise;
    files.gate = Promise.reject(new Error('EIO: i/o error'));
    files.gate.catch(() => {});
    void read(blocks[0]!);
    await clock.advance(LATE_MS);
    const counts: number[] = [];
    for (let pauseMs = DISK_PROBE_MS.first; pauseMs <= 2 * DISK_PROBE_MS.longest; pauseMs *= 2) {
      await clock.advance(Math.min(pauseMs, DISK_PROBE_MS.longest));
      counts.push(files.probes);
    }
    expect(counts).toEqual([...counts.keys()].map((i) => files.probes - counts.length + 1 + i));
    files.gate = null;
    await clock.advance(DISK_PROBE_MS.longest);
    expect(tier.answers).toBe(true);
    const { probes } = files;
    await clock.advance(10 * DISK_PROBE_MS.longest);
    expect(files.probes).toBe(probes);
  });

  it('is away for a moment after it finds something that is not a file, and the block is recomputed', async () => {
    files.refuses = { read: new NoRegularFile('/cache/a.kv') };
    expect(await read(blocks[0]!)).toBe(false);
    expect([tier.answers, tier.has(blocks[0]!.key), tier.has(blocks[1]!.key)]).toEqual([false, false, true]);
    files.refuses = {};
    await clock.advance(DISK_PROBE_MS.first);
    await tier.idle();
    expect([tier.answers, files.files.has(blocks[0]!.key)]).toEqual([true, false]);
    expect(await put(blocks[0]!)).toBe(true);
  });

  it('does not keep the tier from being closed', async () => {
    files.gate = deferred().promise;
    files.readGate = deferred().promise;
    void read(blocks[0]!);
    const writing = put(blocks[4]!);
    const closed = outcomeOf(tier.close().then(() => true));
    await clock.advance(DISK_CHANGE_MS + 100);
    expect([await writing, closed.value]).toEqual([false, true]);
    expect(clock.nextAtMs()).toBeNull();
  });

  it('does not keep a worker from its start, and its files are found once it answers', async () => {
    const gate = deferred();
    files.listGate = gate.promise;
    tier = make(files);
    const landed: string[] = [];
    tier.listen({ landed: ({ key }) => landed.push(key), left: () => {} });
    const opened = outcomeOf(tier.open().then(() => true));
    await clock.advance(60_000);
    expect([opened.value, tier.blocks, tier.accepts]).toEqual([true, 0, false]);
    expect(await put(blocks[5]!)).toBe(false);
    files.listGate = null;
    gate.resolve();
    await clock.advance(0);
    await tier.idle();
    expect(landed.sort()).toEqual(
      blocks
        .slice(0, 4)
        .map(({ key }) => key)
        .sort(),
    );
    expect([tier.accepts, tier.bytes]).toEqual([true, 4 * FILE_BYTES]);
    expect(await put(blocks[5]!)).toBe(true);
  });

  it('does not keep a worker from its start by failing either', async () => {
    files.refuses.read = new Error('EIO: i/o error');
    tier = make(files);
    await tier.open();
    expect([tier.blocks, tier.answers, tier.accepts]).toEqual([0, false, false]);
    expect(lines).toContain(AWAY);
    files.refuses = {};
    await clock.advance(DISK_PROBE_MS.first);
    await tier.idle();
    expect([tier.blocks, tier.answers, tier.accepts]).toEqual([4, true, true]);
  });

  it('may fail when its folder is opened, as a read-only one: the folder is opened again until that succeeds', async () => {
    let opened = 0;
    let fault: Error | null = new Unavailable('EROFS: read-only file system');
    const open = async () => {
      opened++;
      if (fault !== null) throw fault;
      return files;
    };
    tier = make(await openedInTime(open, clock));
    await tier.open();
    expect([tier.blocks, tier.answers, tier.accepts]).toEqual([0, false, false]);
    expect(lines).toContain(AWAY);
    await clock.advance(120_000);
    expect([opened > 3, opened < 12, tier.answers]).toEqual([true, true, false]);
    fault = null;
    await clock.advance(DISK_PROBE_MS.longest);
    await tier.idle();
    expect([tier.blocks, tier.answers, tier.accepts]).toEqual([4, true, true]);

    fault = new Unavailable('EROFS: read-only file system');
    const never = await openedInTime(open, clock);
    await expect(never.close()).resolves.toBeUndefined();
  });

  it('may hang when its folder is opened: the folder is used later, or never if it is refused', async () => {
    const opening = new Deferred<BlockFiles>();
    const late = openedInTime(() => opening.promise, clock);
    await clock.advance(FOLDER_OPEN_MS);
    tier = make(await late);
    const opened = tier.open();
    await clock.advance(20_000);
    await opened;
    expect(tier.blocks).toBe(0);
    opening.resolve(files);
    await clock.advance(0);
    await tier.idle();
    expect(tier.blocks).toBe(4);

    const refused = new Deferred<BlockFiles>();
    const never = openedInTime(() => refused.promise, clock);
    await clock.advance(FOLDER_OPEN_MS);
    tier = make(await never);
    const begun = tier.open();
    await clock.advance(20_000);
    await begun;
    refused.reject(new Refused('another worker uses the folder'));
    await clock.advance(60_000);
    expect([tier.answers, tier.accepts]).toEqual([false, false]);
    await expect(openedInTime(() => Promise.reject(new Refused('not mine')), clock)).rejects.toThrow('not mine');
  });
});

it('a promoter does not ask a disk that is away, and evicts no block for it', async () => {
  const files = new MemoryFiles();
  const clock = new SimulatedClock(1_000);
  const cache = new Cache(2, { disk: { files, blocks: 8 }, clock });
  const [a, b, c] = ['a', 'b', 'c'].flatMap((name) => chain(name, 1));
  for (const block of [a!, b!, c!]) {
    cache.fill([block]);
    await cache.store.idle();
  }
  expect([cache.store.tierOf(a!.key), cache.promoter.worth(a!.key)]).toEqual(['disk', true]);
  files.readGate = deferred().promise;
  files.gate = files.readGate;
  const promoting = cache.promoter.promote([a!], new AbortController().signal);
  await clock.advance(60_000);
  await promoting;
  expect([cache.store.disk, cache.promoter.worth(a!.key)]).toEqual(['away', false]);
  expect(cache.failures).toEqual([]);
});

it('a retained block is missing while only a disk that is away has it', async () => {
  const files = new MemoryFiles();
  const clock = new SimulatedClock(1_000);
  const cache = new Cache(2, { disk: { files, blocks: 8 }, clock });
  const blocks = ['a', 'b', 'c'].flatMap((name) => chain(name, 1));
  for (const block of blocks) {
    cache.fill([block]);
    await cache.store.idle();
  }
  const [onDisk, , onDevice] = blocks.map(({ key }) => key);
  const retention = new WorkerRetention(cache.store);
  const obey = () => retention.obey(1, [onDisk!, onDevice!]);
  expect(obey()).toEqual({ type: 'retained', missing: [] });
  const gate = deferred();
  files.readGate = gate.promise;
  files.gate = gate.promise;
  const promoting = cache.promoter.promote([blocks[0]!], new AbortController().signal);
  await clock.advance(60_000);
  await promoting;
  expect([cache.store.disk, obey()]).toEqual(['away', { type: 'retained', missing: [onDisk] }]);
  files.readGate = null;
  files.gate = null;
  gate.resolve();
  await clock.advance(60_000);
  expect([cache.store.disk, obey()]).toEqual(['answers', { type: 'retained', missing: [] }]);
});
