import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../../src/clock.js';
import type { SealedBlock } from '../../../../src/core/block.js';
import { digestOf } from '../../../../src/digest.js';
import { createLog } from '../../../../src/log.js';
import { OrtRuntime } from '../../../../src/ort/runtime.js';
import { PacedLog } from '../../../../src/paced-log.js';
import { encodeHeader, HEADER_BYTES } from '../../../../workers/cache/block-file.js';
import { DISK_REMOVALS_FAILED, DiskTier } from '../../../../workers/cache/disk-tier.js';
import { FileSealer } from '../../../../workers/cache/file-seal.js';
import { STAGING_BLOCKS } from '../../../../workers/cache/lower-tiers.js';
import { STAGING_DISK_SHARE, Staging } from '../../../../workers/cache/staging.js';
import { DISK_PAUSE_MS } from '../../../../workers/cache/write-pause.js';
import { FINGERPRINT } from '../../../support/announcement.js';
import { MemoryFiles } from '../support/block-files.js';
import { BLOCK_BYTES, chain, markOf, sealedOf } from '../support/cache.js';

const SECRET = 'the secret of the fleet';
const FILE_BYTES = HEADER_BYTES + BLOCK_BYTES;
const FULL = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });

describe('a disk tier', () => {
  let files: MemoryFiles;
  let clock: SimulatedClock;
  let damages: number;
  let changes: number;
  let computeMs: number | null;
  let lines: string[];
  let runtime: OrtRuntime;
  let staging: Staging;
  let tier: DiskTier;
  const into = new Uint8Array(BLOCK_BYTES);

  beforeEach(async () => {
    files = new MemoryFiles();
    clock = new SimulatedClock(1_000);
    damages = 0;
    changes = 0;
    computeMs = null;
    lines = [];
    runtime = OrtRuntime.open();
    staging = new Staging(runtime, BLOCK_BYTES, STAGING_BLOCKS);
    tier = await open(3);
  });
  afterEach(async () => {
    await tier.close();
    staging.close();
    runtime.release();
  });

  /** As a process does that is started anew. */
  async function open(blocks: number, fingerprint = FINGERPRINT, secret = SECRET): Promise<DiskTier> {
    const opened = new DiskTier({
      files,
      fingerprint,
      secret,
      blockBytes: BLOCK_BYTES,
      budgetBytes: blocks * FILE_BYTES + FILE_BYTES - 1,
      staging,
      roleOf: () => 'guest',
      clock,
      log: new PacedLog(createLog({ level: 'info', write: (line) => lines.push(JSON.parse(line).msg) }), clock),
      computeMsPerBlock: () => computeMs,
      onAnswers: () => changes++,
      onDamage: () => damages++,
    });
    files.budgetBytes = blocks * FILE_BYTES;
    await opened.open();
    return opened;
  }
  function blocksOf(...names: string[]): SealedBlock[] {
    return names.map((name) => sealedOf(chain(name, 1)[0]!));
  }
  const bytesOf = ({ key }: SealedBlock) => new Uint8Array(BLOCK_BYTES).fill(markOf(key));
  const put = (block: SealedBlock) => tier.put(block, bytesOf(block));
  const names = (blocks: readonly SealedBlock[]) => blocks.map(({ key }) => key).sort();

  it('takes nothing that somebody without the secret has planted, and replaces it', async () => {
    const [block, other] = blocksOf('one', 'two');
    await put(block!);
    await tier.close();
    // They know the format, the fingerprint, the key and the digest, and have seen whole files.
    const forger = new FileSealer('a secret of their own');
    const planted = Uint8Array.from(bytesOf(block!), (byte) => byte ^ 1);
    const forged = { ...block!, digest: digestOf(planted) };
    const header = { fingerprint: FINGERPRINT, block: forged, blockBytes: BLOCK_BYTES };
    const own = encodeHeader({ ...header, seal: forger.sealBlock(planted) }, forger);
    files.files.set(block!.key, Buffer.concat([own, planted]));
    tier = await open(3);
    expect(tier.has(block!.key)).toBe(false);
    expect(damages).toBe(1);
    expect(files.files.has(block!.key)).toBe(false);
    await put(block!);
    await put(other!);
    const into = new Uint8Array(BLOCK_BYTES);
    // The right header over other bytes, whose digest could be made to agree: it has no key.
    const whole = files.files.get(block!.key)!;
    files.files.set(block!.key, Buffer.concat([whole.subarray(0, HEADER_BYTES), planted]));
    expect(await tier.read(block!.key, into)).toBe(false);
    expect(damages).toBe(2);
    expect(await tier.read(other!.key, into)).toBe(true);
    expect(into).toEqual(bytesOf(other!));
  });

  it('takes the files of a fleet with another secret for planted', async () => {
    const [block] = blocksOf('one');
    await put(block!);
    await tier.close();
    tier = await open(3, FINGERPRINT, 'the secret of another fleet');
    expect(tier.has(block!.key)).toBe(false);
    expect(files.files.size).toBe(0);
  });

  it('removes what an earlier version wrote without counting it as damage', async () => {
    const [block] = blocksOf('one');
    await tier.close();
    files.files.set(block!.key, Buffer.concat([Buffer.from('shoalkv\x01', 'latin1'), new Uint8Array(BLOCK_BYTES)]));
    tier = await open(3);
    expect(tier.has(block!.key)).toBe(false);
    expect(damages).toBe(0);
    expect(files.files.size).toBe(0);
    await put(block!);
    expect(tier.has(block!.key)).toBe(true);
  });

  it('serves the blocks of an earlier process', async () => {
    const prompt = chain('prompt', 3).map(sealedOf);
    for (const block of prompt) await put(block);
    tier = await open(3);
    expect([...tier.keys()].sort()).toEqual(names(prompt));
    expect(tier.bytes).toBe(3 * FILE_BYTES);
    for (const block of prompt) {
      expect(tier.sealed(block.key)).toEqual(block);
      expect(await tier.read(block.key, into)).toBe(true);
      expect(into).toEqual(bytesOf(block));
    }
    expect(damages).toBe(0);
  });

  it('shrinks to a budget smaller than the files found, and keeps the beginnings of prompts', async () => {
    const prompt = chain('prompt', 3).map(sealedOf);
    for (const block of prompt) await put(block);
    tier = await open(2);
    expect([...tier.keys()].sort()).toEqual(names(prompt.slice(0, 2)));
    expect(files.bytes).toBe(2 * FILE_BYTES);
  });

  it.each([
    ['a shorter file', (file: Uint8Array) => file.subarray(0, -1)],
    ['a longer file', (file: Uint8Array) => Buffer.concat([file, file.subarray(0, 1)])],
    ['an empty file', () => new Uint8Array()],
    ['a header with a flipped bit', (file: Uint8Array) => file.map((byte, at) => (at === 70 ? byte ^ 4 : byte))],
  ])('drops %s at the start, and counts it', async (_, damage) => {
    const [good, bad] = blocksOf('good', 'bad');
    await put(good!);
    await put(bad!);
    files.files.set(bad!.key, damage(files.files.get(bad!.key)!));
    tier = await open(3);
    expect([...tier.keys()]).toEqual([good!.key]);
    expect([...files.files.keys()]).toEqual([good!.key]);
    expect(damages).toBe(1);
  });

  it('drops the files of another model', async () => {
    for (const block of blocksOf('a', 'b')) await put(block);
    tier = await open(3, 'e'.repeat(64));
    expect([tier.blocks, tier.bytes, files.files.size, damages]).toEqual([0, 0, 0, 2]);
  });

  it('drops a file that has the name of another block', async () => {
    const [a, b] = blocksOf('a', 'b');
    await put(a!);
    files.files.set(b!.key, files.files.get(a!.key)!);
    tier = await open(3);
    expect([...tier.keys()]).toEqual([a!.key]);
    expect(damages).toBe(1);
  });

  it('finds a flipped bit of the block itself when it is read, and drops the block', async () => {
    const [a] = blocksOf('a');
    await put(a!);
    files.files.get(a!.key)![FILE_BYTES - 1]! ^= 1;
    const left: string[] = [];
    tier.listen({ landed: () => {}, left: (_, reason) => left.push(reason) });
    expect(await tier.read(a!.key, into)).toBe(false);
    expect([tier.has(a!.key), damages, left]).toEqual([false, 1, ['damaged']]);
    await tier.idle();
    expect([files.files.size, tier.bytes]).toEqual([0, 0]);
    expect(await put(a!)).toBe(true);
    expect(await tier.read(a!.key, into)).toBe(true);
  });

  it('misses a block whose file is gone or unreadable', async () => {
    const [a, b] = blocksOf('a', 'b');
    await put(a!);
    await put(b!);
    files.files.delete(a!.key);
    expect(await tier.read(a!.key, into)).toBe(false);
    files.refuses = { read: new Error('EIO: i/o error') };
    expect(await tier.read(b!.key, into)).toBe(false);
    expect(tier.blocks).toBe(0);
    expect(lines).toEqual(['a block could not be read from disk']);
  });

  it('pauses writes to a full disk, reports it once, and resumes when there is room', async () => {
    const [a, b, c, d] = blocksOf('a', 'b', 'c', 'd');
    await put(a!);
    files.refuses = { write: FULL };
    expect(await put(b!)).toBe(false);
    expect(await put(c!)).toBe(false);
    expect([files.writes, tier.hasRoom, tier.bytes]).toEqual([2, false, FILE_BYTES]);
    expect(await tier.read(a!.key, into)).toBe(true);
    await clock.advance(DISK_PAUSE_MS);
    expect(await put(b!)).toBe(false);
    expect([files.writes, lines.length]).toEqual([3, 1]);
    await clock.advance(DISK_PAUSE_MS);
    files.refuses = {};
    expect(await put(d!)).toBe(true);
    expect(lines).toEqual([
      'the disk takes no blocks: they are kept in memory alone until it does again',
      'the disk takes blocks again',
    ]);
    expect([...tier.keys()].sort()).toEqual(names([a!, d!]));
  });

  it('counts files that it could not remove', async () => {
    const [a, b, c, d] = blocksOf('a', 'b', 'c', 'd');
    for (const block of [a!, b!, c!]) await put(block);
    files.refuses = { remove: new Error('EROFS: read-only file system') };
    expect(await put(d!)).toBe(false);
    expect(tier.bytes).toBe(3 * FILE_BYTES);
    expect(files.writes).toBe(3);
    expect(tier.blocks).toBe(2);
    files.refuses = {};
    await clock.advance(DISK_PAUSE_MS);
    expect(await put(d!)).toBe(true);
    expect([tier.bytes, files.bytes]).toEqual([3 * FILE_BYTES, 3 * FILE_BYTES]);
  });

  it('tries to remove such files again at the next change, so that they do not come back', async () => {
    const [a, b, c] = blocksOf('a', 'b', 'c');
    await put(a!);
    await put(b!);
    files.stuck.add(a!.key);
    tier.reset();
    await tier.idle();
    expect([...files.files.keys()]).toEqual([a!.key]);
    expect([tier.blocks, tier.bytes]).toEqual([0, FILE_BYTES]);
    // It is in the way of nothing else.
    for (const block of [b!, c!]) expect(await put(block)).toBe(true);
    expect([tier.bytes, files.bytes]).toEqual([3 * FILE_BYTES, 3 * FILE_BYTES]);
    expect(lines).toEqual(['cannot remove a file of the disk cache; it is tried again']);
    files.stuck.clear();
    await tier.close();
    expect(names([b!, c!])).toEqual([...files.files.keys()].sort());
    tier = await open(3);
    expect(tier.has(a!.key)).toBe(false);
  });

  it('tries a bounded number of files that cannot be removed at a time', async () => {
    const many = blocksOf(...Array.from({ length: 3 * DISK_REMOVALS_FAILED }, (_, i) => `prompt ${i}`));
    tier = await open(many.length + 1);
    for (const block of many) await put(block);
    files.refuses = { remove: new Error('EROFS: read-only file system') };
    tier.reset();
    await tier.idle();
    expect(files.removals).toBe(DISK_REMOVALS_FAILED);
    files.refuses = {};
    expect(await put(many[0]!)).toBe(true);
    await tier.idle();
    expect([tier.bytes, [...files.files.keys()]]).toEqual([FILE_BYTES, [many[0]!.key]]);
  });

  it('starts even if useless files cannot be removed, and reports it once', async () => {
    const [a, b, c] = blocksOf('a', 'b', 'c');
    for (const block of [a!, b!, c!]) await put(block);
    for (const block of [a!, b!]) {
      files.files.set(block.key, new Uint8Array(3));
      files.stuck.add(block.key);
    }
    tier = await open(3);
    expect([...tier.keys()]).toEqual([c!.key]);
    expect([tier.bytes, damages]).toEqual([3 * FILE_BYTES, 2]);
    expect(lines).toEqual(['cannot remove a file of the disk cache; it is tried again']);
    files.stuck.clear();
    expect(await put(b!)).toBe(true);
    expect([...files.files.keys()].sort()).toEqual(names([b!, c!]));
  });

  it('copies blocks that must go at once, as far as staging memory allows', async () => {
    const most = STAGING_DISK_SHARE * STAGING_BLOCKS - 1;
    const many = Array.from({ length: STAGING_BLOCKS + 2 }, (_, i) => sealedOf(chain(`prompt ${i}`, 1)[0]!));
    tier = await open(many.length);
    for (const block of many) {
      const bytes = bytesOf(block);
      tier.take(block, bytes);
      bytes.fill(0);
    }
    await tier.idle();
    expect(tier.blocks).toBe(most);
    for (const block of many.slice(0, most)) expect(await tier.read(block.key, into)).toBe(true);
    expect(damages).toBe(0);
  });

  it('does not bring back a block that is being written during a reset', async () => {
    const [a, b] = blocksOf('a', 'b');
    await put(a!);
    let go = () => {};
    files.gate = new Promise((resolve) => {
      go = resolve;
    });
    const writing = put(b!);
    while (files.writes < 2) await Promise.resolve();
    expect(tier.reset()).toBe(1);
    go();
    expect(await writing).toBe(false);
    await tier.idle();
    expect([tier.blocks, tier.bytes, files.files.size]).toEqual([0, 0, 0]);
  });

  it('drops writes that waited during a reset, and accepts later ones', async () => {
    const [a, b, c] = blocksOf('a', 'b', 'c');
    let go = () => {};
    files.gate = new Promise((resolve) => {
      go = resolve;
    });
    const waiting = [put(a!), put(b!)];
    tier.take(c!, bytesOf(c!));
    while (files.writes < 1) await Promise.resolve();
    tier.reset();
    const anew = put(b!);
    go();
    expect(await Promise.all([...waiting, anew])).toEqual([false, false, true]);
    await tier.idle();
    expect([[...tier.keys()], [...files.files.keys()], files.writes]).toEqual([[b!.key], [b!.key], 2]);
  });
});
