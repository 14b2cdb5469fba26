import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readValues } from '../../../src/config/config.js';
import { fileVariables, withConfigFile } from '../../../src/config/config-file.js';
import { OPTIONS } from '../../../src/config/options.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-config-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

function written(text: string): string {
  const path = join(dir, 'shoal.yaml');
  writeFileSync(path, text);
  return path;
}

describe('a file of options', () => {
  it('has the names and the values of flags, for all commands of a fleet', () => {
    const text =
      'workers: 4\ncache-bytes: 2GiB\nallow-routing: true\naudit: off\nallowed-hosts:\n  - a.example\n  - b.example\n';
    expect(fileVariables(text, 'f', OPTIONS)).toEqual({
      SHOAL_WORKERS: '4',
      SHOAL_CACHE_BYTES: '2GiB',
      SHOAL_ALLOW_ROUTING: 'on',
      SHOAL_AUDIT: 'off',
      SHOAL_ALLOWED_HOSTS: 'a.example,b.example',
    });
    expect(fileVariables('', 'f', OPTIONS)).toEqual({});
  });

  it('gives way to variables, and variables to flags', () => {
    const path = written('replicas: 3\nsequences: 7\nworkers: 2\n');
    const environment = withConfigFile(path, OPTIONS, { SHOAL_REPLICAS: '4', SHOAL_WORKERS: '5', SHOAL_SEQUENCES: '' });
    const values = readValues('up', { flags: { workers: '6' }, environment });
    expect([values.replicas, values.workers, values.sequences]).toEqual([4, 6, 7]);
    expect(readValues('up', { flags: {}, environment: {} }).replicas).toBe(2);
  });

  it.each([
    ['port: 1\nwrokers: 3\n', 'f:2: wrokers: is not an option; docs/OPTIONS.md lists them'],
    ['replicas: 99\n', 'f:1: replicas: must be a whole number from 1 to 16, got "99"'],
    ['\n\nreplicas: {a: 1}\n', 'f:3: replicas: must be a whole number from 1 to 16, got a mapping'],
    ['- 1\n', 'f: must be a mapping from names of options to values, such as "workers: 3"'],
    ['port: 1\nport: 2\n', 'f:2:1: a field occurs twice'],
    ['config: other.yaml\n', 'f:1: config: is not an option; docs/OPTIONS.md lists them'],
  ])('that is wrong is refused, with the place: %j', (text, message) => {
    expect(() => fileVariables(text, 'f', OPTIONS)).toThrow(message);
  });

  it('holds no secrets, and shows none in its errors', () => {
    const text = 'secret: "hush hush hush hush"\n';
    expect(() => fileVariables(text, 'f', OPTIONS)).toThrow(
      'f:1: secret: is a secret, which must not be in this file; set SHOAL_SECRET',
    );
    for (const name of ['otlp-endpoint', 'url'])
      expect(() => fileVariables(`${name}: "ftp://me:hush@host/?token=hush"\n`, 'f', OPTIONS)).toThrow(
        /^(?!.*hush).*must be/s,
      );
    expect(() => fileVariables('nats: "ftp://me:hush@host"\n', 'f', OPTIONS)).toThrow(/^(?!.*hush).*nats: must be/s);
  });

  it('that cannot be read is wrong usage', () => {
    expect(() => withConfigFile(join(dir, 'absent'), OPTIONS, {})).toThrow('--config (SHOAL_CONFIG): cannot read');
  });
});
