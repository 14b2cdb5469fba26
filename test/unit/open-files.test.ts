import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import {
  connectionLimit,
  OPEN_FILES_NEEDED,
  openFileLimit,
  openFilesFault,
  parseOpenFileLimit,
} from '../../src/open-files.js';

describe('the limit on open files', () => {
  it('is the soft limit of /proc', () => {
    const text = 'Max processes             100                  200                  processes \n';
    const row = (soft: string) => `Max open files            ${soft}                 1048576              files     \n`;
    expect(parseOpenFileLimit(text + row('64'))).toBe(64);
    expect(parseOpenFileLimit(text + row('unlimited'))).toBeNull();
    expect(parseOpenFileLimit(text)).toBeNull();
    if (process.platform !== 'linux') return;
    const shell = spawnSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' });
    expect(openFileLimit()).toBe(Number(shell.stdout));
  });

  it('is an error if too low, with a hint how to raise it', () => {
    expect(openFilesFault(256, 64)).toMatch(/^cannot run with at most 64 open files: 256 are needed.*ulimit -n 4096/);
    expect(openFilesFault(256, 256)).toBeNull();
    expect(openFilesFault(256, null)).toBeNull();
  });

  it('leaves descriptors for the rest of the process', () => {
    expect(connectionLimit(1_024, null)).toBe(1_024);
    expect(connectionLimit(1_024, 1_048_576)).toBe(1_024);
    expect(connectionLimit(16_384, 1_024)).toBe(832);
    expect(connectionLimit(1_024, OPEN_FILES_NEEDED)).toBeLessThan(OPEN_FILES_NEEDED / 2);
    expect(connectionLimit(1_024, 64)).toBeGreaterThan(0);
  });
});
