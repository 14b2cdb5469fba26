import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, basename as nameOf } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LockedFolder } from '../../../../cli/process/locked-folder.js';
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
    const uid = process.getuid?.() ?? 0;
    const [stale, foreign, unlocked] = [`shoal-${uid}-abcdef`, `shoal-${uid + 1}-abcdef`, `shoal-${uid}-notes`].map(
      (name) => join(base, name),
    );
    for (const folder of [stale!, foreign!, unlocked!]) mkdirSync(folder);
    for (const folder of [stale!, foreign!]) writeFileSync(join(folder, 'lock'), '');
    writeFileSync(join(stale!, 'worker-1.sock'), '');
    const running = RunDirectory.create(base);
    const second = RunDirectory.create(base);
    expect(readdirSync(base).sort()).toEqual(
      [foreign!, unlocked!, running.path, second.path].map((path) => nameOf(path)).sort(),
    );
    running.remove();
    second.remove();
  });

  it('is removed by the last child of a process that was killed, not while that process lives', () => {
    const directory = RunDirectory.create(base);
    LockedFolder.removeIfAbandoned(directory.path);
    expect(existsSync(directory.path)).toBe(true);
    const orphaned = join(base, 'orphaned');
    mkdirSync(orphaned);
    for (const name of ['lock', 'worker-2.sock']) writeFileSync(join(orphaned, name), '');
    LockedFolder.removeIfAbandoned(orphaned);
    expect(existsSync(orphaned)).toBe(true);
    rmSync(join(orphaned, 'worker-2.sock'));
    LockedFolder.removeIfAbandoned(orphaned);
    expect(existsSync(orphaned)).toBe(false);
    directory.remove();
  });

  it('is replaced when somebody has removed it, and never otherwise', () => {
    const directory = RunDirectory.create(base);
    const { path } = directory;
    directory.restore();
    expect(directory.path).toBe(path);
    rmSync(path, { recursive: true });
    directory.restore();
    expect(statSync(directory.path).mode & 0o777).toBe(0o700);
    writeFileSync(directory.file('worker-1.sock'), '');
    // Its lock is held, so that another run leaves it alone.
    const other = RunDirectory.create(base);
    expect(existsSync(directory.path)).toBe(true);
    for (const each of [directory, other]) each.remove();
    expect(readdirSync(base)).toEqual([]);
  });

  it('stays as it is where no folder can be made', () => {
    const directory = RunDirectory.create(base);
    const { path } = directory;
    rmSync(base, { recursive: true });
    directory.restore();
    expect(directory.path).toBe(path);
    directory.remove();
  });

  it('needs a writable folder, and says how to name one', () => {
    const missing = join(base, 'missing');
    expect(() => RunDirectory.create(missing)).toThrow(
      new RegExp(`^cannot make a folder for sockets in ${missing}: .*; set TMPDIR to a folder`),
    );
  });

  it('has a path short enough for a Unix socket', () => {
    const directory = RunDirectory.create();
    directory.remove();
    expect(Buffer.byteLength(directory.file('worker-64.sock'))).toBeLessThan(104);
  });
});
