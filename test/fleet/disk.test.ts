import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { Fleet } from './support/fleet.js';

const sheet = recallSheet(32, 47);
const { question } = sheet.questions[0]!;
const prompt = recallPrompt(sheet, question);

describe('a disk whose files turn into pipes', () => {
  let dir: string;
  let fleet: Fleet | null = null;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-disk-'));
  });
  afterEach(async () => {
    await fleet?.stop();
    fleet = null;
    await rm(dir, { recursive: true, force: true });
  });

  const up = async (): Promise<Fleet> => {
    fleet = await Fleet.up(['--workers', '1', '--disk-cache-dir', join(dir, 'blocks'), '--log-level', 'info'], {
      TMPDIR: dir,
    });
    return fleet;
  };
  const folder = () => join(dir, 'blocks', 'worker-1');
  const files = () => (existsSync(folder()) ? readdirSync(folder()).filter((name) => name.endsWith('.kv')) : []);
  const disks = async (running: Fleet) => {
    const body = (await (await fetch(`${running.url}/health`)).json()) as { checks: { name: string; ok: boolean }[] };
    return body.checks.find(({ name }) => name === 'disks')?.ok;
  };

  it('holds up no request, is reported, and is used again', async () => {
    const first = await up();
    const before = await first.complete({ prompt });
    await first.stop();
    const names = files();
    expect(names.length).toBeGreaterThan(1);

    const second = await up();
    expect(await disks(second)).toBe(true);
    for (const name of names) {
      rmSync(join(folder(), name));
      execFileSync('mkfifo', [join(folder(), name)]);
    }
    const startedMs = performance.now();
    const after = await second.complete({ prompt });
    expect(after.choices[0]!.text).toBe(before.choices[0]!.text);
    expect(performance.now() - startedMs).toBeLessThan(20_000);
    while (!second.log.includes('the disk cache answers again')) await second.workers();
    expect(second.log).toContain('is not a regular file');
    while (!(await disks(second))) await second.workers();
    expect(await second.stop()).toBe(0);
  });
});

it('a process ends although a file operation hangs', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
  const exit = fileURLToPath(new URL('../../dist/cli/exit.js', import.meta.url));
  const program = `
    import { execFileSync } from 'node:child_process';
    import { open } from 'node:fs';
    import { exit } from ${JSON.stringify(exit)};
    const pipe = ${JSON.stringify(join(dir, 'pipe'))};
    execFileSync('mkfifo', [pipe]);
    open(pipe, 'r', () => {});
    setImmediate(() => exit(3));`;
  const { status, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { timeout: 60_000 });
  await rm(dir, { recursive: true, force: true });
  expect([status, signal]).toEqual([3, null]);
});
