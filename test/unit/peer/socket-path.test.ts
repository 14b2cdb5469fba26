import { spawnSync } from 'node:child_process';
import { existsSync, linkSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvalidRequest } from '../../../src/errors.js';
import { SocketPath } from '../../../src/peer/server/socket-path.js';

describe('the lock of a socket', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'shoal-test-'));
    path = join(folder, 'worker.sock');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('names its owner, also in a file that an ended process left, and is removed on release', async () => {
    writeFileSync(`${path}.lock`, 'worker of a much longer name');
    const claimed = await SocketPath.claim(path, 'worker a');
    expect(readFileSync(`${path}.lock`, 'utf8')).toBe('worker a');
    await claimed.release();
    expect(existsSync(`${path}.lock`)).toBe(false);
  });

  it.each([
    ['symbolic', symlinkSync],
    ['hard', linkSync],
  ])('never changes the file that a %s link in its place names', async (_, link) => {
    const target = join(folder, 'target');
    writeFileSync(target, 'kept');
    link(target, `${path}.lock`);
    await expect(SocketPath.claim(path, 'worker a')).rejects.toThrow(InvalidRequest);
    await expect(SocketPath.claim(path, 'worker a')).rejects.toThrow(`${path}.lock is a link`);
    expect(readFileSync(target, 'utf8')).toBe('kept');
  });

  it('makes no file where a symbolic link leads nowhere', async () => {
    symlinkSync(join(folder, 'missing'), `${path}.lock`);
    await expect(SocketPath.claim(path, 'worker a')).rejects.toThrow(InvalidRequest);
    expect(existsSync(join(folder, 'missing'))).toBe(false);
  });

  it('refuses a named pipe', async () => {
    spawnSync('mkfifo', [`${path}.lock`]);
    await expect(SocketPath.claim(path, 'worker a')).rejects.toThrow('not a regular file of this user');
  });
});
