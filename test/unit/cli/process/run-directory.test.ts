import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RunDirectory } from '../../../../cli/process/run-directory.js';

describe('the folder of a run', () => {
  let base: string;
  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), 'shoal-test-'));
  });
  afterEach(() => rmSync(base, { recursive: true, force: true }));

  it('is accessible to its owner only, and is removed with its content', () => {
    const directory = RunDirectory.create(base);
    expect(statSync(directory.path).mode & 0o777).toBe(0o700);
    writeFileSync(directory.file('worker-1.sock'), '');
    directory.remove();
    directory.remove();
    expect(readdirSync(base)).toEqual([]);
  });

  it('is created after removing the folders of ended processes, and no others', () => {
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    const uid = process.getuid?.() ?? 0;
    const stale = join(base, `shoal-${uid}-${gone}-abc`);
    const others = [`shoal-${uid}-${process.pid}-abc`, `shoal-${uid}-notes`, `shoal-x`, 'other'].map((name) =>
      join(base, name),
    );
    for (const folder of [stale, ...others]) mkdirSync(folder);
    RunDirectory.create(base);
    expect(existsSync(stale)).toBe(false);
    expect(others.every(existsSync)).toBe(true);
  });

  it('has a path short enough for a Unix socket', () => {
    const directory = RunDirectory.create();
    directory.remove();
    expect(Buffer.byteLength(directory.file('worker-64.sock'))).toBeLessThan(104);
  });
});
