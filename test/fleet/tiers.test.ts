import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Completion } from '../../bench/fleet/fleet-api.js';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { Fleet } from './support/fleet.js';
import { mayMount } from './support/may-mount.js';

const sheet = recallSheet(32, 47);
const { question, answer } = sheet.questions[0]!;
const prompt = recallPrompt(sheet, question);

describe('blocks on disk', () => {
  let dir: string;
  let fleet: Fleet | null = null;
  const WORKERS = ['worker-1', 'worker-2'];

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-tiers-'));
  });
  afterEach(async () => {
    await fleet?.stop();
    fleet = null;
    await rm(dir, { recursive: true, force: true });
  });

  const up = async (...args: string[]): Promise<Fleet> => {
    fleet = await Fleet.up(['--workers', '2', '--disk-cache-dir', join(dir, 'blocks'), ...args], { TMPDIR: dir });
    return fleet;
  };
  const folderOf = (worker: string) => join(dir, 'blocks', worker);
  const filesOf = (worker: string) =>
    existsSync(folderOf(worker)) ? readdirSync(folderOf(worker)).filter((name) => name.endsWith('.kv')) : [];
  const cachedOf = (completion: Completion) => completion.usage.prompt_tokens_details.cached_tokens;
  const textOf = (completion: Completion) => completion.choices[0]!.text;
  /** Full blocks of the prompt that an answer can reuse. */
  const blocksOf = async (running: Fleet) => Math.floor(((await running.countTokens(prompt)) - 1) / 64);

  it('survive a kill of every process, and give the same answer', async () => {
    const first = await up();
    const blocks = await blocksOf(first);
    const before = await first.complete({ prompt });
    expect(textOf(before).trim()).toBe(answer);
    while (WORKERS.some((worker) => filesOf(worker).length < blocks)) await first.workers();
    for (const { pid } of [first.ready, ...first.ready.workers]) process.kill(pid, 'SIGKILL');
    await first.stop();

    const second = await up();
    expect((await second.holders(prompt)).size).toBe(2);
    for (const worker of WORKERS) expect(await second.tiers(prompt, worker)).toEqual(new Set(['disk']));
    const after = await second.complete({ prompt });
    expect(await second.tiers(prompt, after.shoal.worker)).toContain('device');
    expect(textOf(after)).toBe(textOf(before));
    expect([cachedOf(after), after.shoal.cached.local]).toEqual([64 * blocks, 64 * blocks]);
  });

  it('are written at a graceful stop, and are computed again if they are damaged', async () => {
    const first = await up();
    const blocks = await blocksOf(first);
    const before = await first.complete({ prompt });
    await first.stop();
    expect(filesOf(before.shoal.worker).length).toBeGreaterThanOrEqual(blocks);
    for (const worker of WORKERS) {
      for (const name of filesOf(worker)) {
        const path = join(folderOf(worker), name);
        const bytes = readFileSync(path);
        bytes[bytes.byteLength >> 1]! ^= 0x40;
        writeFileSync(path, bytes);
      }
    }
    const second = await up();
    const after = await second.complete({ prompt });
    expect([textOf(after), cachedOf(after)]).toEqual([textOf(before), 0]);
    expect(cachedOf(await second.complete({ prompt }))).toBe(64 * blocks);
  });

  it('belong to one worker at a time', async () => {
    const first = await up();
    const intruder = Fleet.up(['--workers', '2', '--disk-cache-dir', join(dir, 'blocks')], { TMPDIR: dir });
    await expect(intruder).rejects.toThrow(/another worker uses/);
    expect(textOf(await first.complete({ prompt })).trim()).toBe(answer);
  });

  it.skipIf(!mayMount())('are done without where the disk is full', async () => {
    for (const worker of WORKERS) {
      mkdirSync(folderOf(worker), { recursive: true });
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=700', 'tmpfs', folderOf(worker)]);
    }
    try {
      const running = await up();
      expect(textOf(await running.complete({ prompt })).trim()).toBe(answer);
      expect(cachedOf(await running.complete({ prompt }))).toBe(64 * (await blocksOf(running)));
      while (!/the disk takes no blocks/.test(running.log)) await running.workers();
      expect(await running.stop()).toBe(0);
    } finally {
      fleet = null;
      for (const worker of WORKERS) execFileSync('umount', [folderOf(worker)]);
    }
  });
});
