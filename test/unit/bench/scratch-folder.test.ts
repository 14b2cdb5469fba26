import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ScratchFolder } from '../../../bench/scratch-folder.js';
import { RunDirectory } from '../../../cli/process/run-directory.js';

describe('the folder of a benchmark', () => {
  let base: string;
  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), 'shoal-test-'));
    vi.stubEnv('TMPDIR', base);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(base, { recursive: true, force: true });
  });

  it('says what it is for, and is removed with its content', async () => {
    const scratch = new ScratchFolder('bench');
    expect(basename(scratch.path)).toMatch(/^shoal-\d+-bench-/);
    writeFileSync(join(scratch.path, 'node.sock'), '');
    await scratch.remove();
    expect(readdirSync(base)).toEqual([]);
  });

  it('is removed by the next benchmark or fleet if its process was killed, and not while that process lives', async () => {
    const living = new ScratchFolder('bench');
    // As a process that was killed leaves it: the system has released its lock.
    const left = join(base, basename(living.path).replace(/bench-.*/, 'chaos-abcdef'));
    const leave = () => {
      mkdirSync(left);
      for (const name of ['lock', 'node.sock']) writeFileSync(join(left, name), '');
    };
    leave();
    const next = new ScratchFolder('hostile');
    expect([existsSync(left), existsSync(living.path)]).toEqual([false, true]);
    leave();
    const fleet = RunDirectory.create(base);
    expect([existsSync(left), existsSync(living.path)]).toEqual([false, true]);
    fleet.remove();
    await next.remove();
    await living.remove();
  });
});
