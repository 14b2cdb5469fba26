import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Command, OptionSpec, OptionTable } from '../../../src/config/option.js';
import { flagKey } from '../../../src/config/option.js';
import { OPTIONS } from '../../../src/config/options.js';
import { inheritedVariables, readOptions, withoutOptions } from '../../../src/config/read-options.js';
import { WrongUsage } from '../../../src/config/wrong-usage.js';

function read(command: Command, flags: Record<string, unknown>, environment: Record<string, string> = {}) {
  return readOptions(OPTIONS, command, flags, environment);
}

const OPTION_SPECS = new Set<OptionSpec>(Object.values(OPTIONS));
const CONFIG_FOLDER = fileURLToPath(new URL('../../../src/config', import.meta.url));

/** All tables of options that the files of the configuration export. */
async function tablesOfOptions(): Promise<OptionTable[]> {
  const modules = await Promise.all(
    readdirSync(CONFIG_FOLDER).map((file) => import(join(CONFIG_FOLDER, file)) as Promise<Record<string, unknown>>),
  );
  return modules.flatMap((module) =>
    Object.entries(module).flatMap(([name, table]) => (/(?:^|_)OPTIONS$/.test(name) ? [table as OptionTable] : [])),
  );
}

describe('the table of options', () => {
  it('has unique flags and variables', () => {
    const specs = Object.entries(OPTIONS);
    const flags = specs.flatMap(([, spec]) => spec.flag ?? []);
    expect(new Set(flags).size).toBe(flags.length);
    expect(new Set(specs.map(([, spec]) => spec.variable)).size).toBe(specs.length);
  });

  it('hides no option of one file behind one of another', async () => {
    const tables = await tablesOfOptions();
    expect(tables.length).toBeGreaterThan(10);
    for (const table of tables) {
      const joined = Object.values(table).some((spec) => OPTION_SPECS.has(spec));
      const hidden = Object.entries(table).filter(([, spec]) => joined && !OPTION_SPECS.has(spec));
      expect(hidden.map(([key]) => key)).toEqual([]);
    }
  });

  it('gives no command two options with the same flag or variable', async () => {
    const specs = [...new Set((await tablesOfOptions()).flatMap((table) => Object.values(table)))];
    const names = specs.flatMap(({ flag, variable, commands }) =>
      commands.flatMap((command) => [`${command} ${variable}`, ...(flag === null ? [] : [`${command} --${flag}`])]),
    );
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });

  it('takes the file of a flag before the variable with the value, and that before the variable with a file', () => {
    const both = { SHOAL_SECRET: 'a-secret-of-this-length', SHOAL_SECRET_FILE: '/run/variable' };
    expect(read('worker', {}, both)).toMatchObject({ secret: both.SHOAL_SECRET, secretFile: '/run/variable' });
    expect(read('worker', { secretFile: '/run/flag' }, both)).toMatchObject({ secret: null, secretFile: '/run/flag' });
    const inherited = inheritedVariables(OPTIONS, 'run', 'node', { secretFile: '/run/flag' }, both);
    expect(inherited).toMatchObject({ SHOAL_SECRET_FILE: '/run/flag' });
    expect(inherited).not.toHaveProperty('SHOAL_SECRET');
    const files = Object.values(OPTIONS).flatMap(({ fileOf }) => fileOf ?? []);
    expect(files.sort()).toEqual(['SHOAL_API_KEYS', 'SHOAL_NATS_PASSWORD', 'SHOAL_SECRET']);
  });

  it('derives the names of variables and keys from the flags', () => {
    for (const [key, spec] of Object.entries(OPTIONS)) {
      const words = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      // OpenTelemetry's specification names its own.
      if (!spec.variable.startsWith('OTEL_'))
        expect(spec.variable).toBe(`SHOAL_${words.toUpperCase().replaceAll('-', '_')}`);
      if (spec.flag !== null) expect(flagKey(spec.flag)).toBe(key);
    }
  });

  it('has defaults that pass its own checks', () => {
    for (const command of ['up', 'coordinator', 'worker', 'status', 'explain', 'bench', 'doctor'] as const) {
      expect(() => read(command, {})).not.toThrow();
    }
  });
});

describe('reading options', () => {
  it('prefers the flag to the variable, and the variable to the default', () => {
    expect(read('up', {}, {}).port).toBe(8080);
    expect(read('up', {}, { SHOAL_PORT: '9000' }).port).toBe(9000);
    expect(read('up', { port: '9001' }, { SHOAL_PORT: '9000' }).port).toBe(9001);
  });

  it('ignores an empty variable', () => {
    expect(read('up', {}, { SHOAL_PORT: '', SHOAL_MODEL: ' ' })).toMatchObject({ port: 8080, model: null });
  });

  it('ignores options of other commands', () => {
    expect(read('status', {}, { SHOAL_PORT: 'nonsense' }).url).toBe('http://127.0.0.1:8080');
  });

  it.each([
    ['--port: must be a whole number from 0 to 65535, got "abc"', { port: 'abc' }, {}],
    ['SHOAL_PORT: must be a whole number from 0 to 65535, got "70000"', {}, { SHOAL_PORT: '70000' }],
    ['--device: must be one of auto, cpu, webgpu, cuda, got "tpu"', { device: 'tpu' }, {}],
    ['--workers: must be a whole number from 1 to 64, got "0"', { workers: '0' }, {}],
    ['--cache: must be on or off (or 1, 0, true, false, yes, no), got "maybe"', { cache: 'maybe' }, {}],
    [
      '--namespace: must be 1 to 64 letters, digits, "-" or "_", not ending in -generations, -pins or -actors, got "a b"',
      { namespace: 'a b' },
      {},
    ],
    ['SHOAL_CACHE_BYTES: must be a size such as 512MiB', {}, { SHOAL_CACHE_BYTES: 'lots' }],
  ])('reports %s', (message, flags, environment) => {
    expect(() => read('up', flags, environment as Record<string, string>)).toThrow(WrongUsage);
    expect(() => read('up', flags, environment as Record<string, string>)).toThrow(message);
  });

  it('never shows the value of a wrong secret', () => {
    const wrong = { SHOAL_SECRET: 'hunter2', SHOAL_NATS: 'http://user:hunter2@host' };
    for (const [variable, value] of Object.entries(wrong)) {
      let message = '';
      try {
        read('worker', {}, { [variable]: value });
      } catch (error) {
        message = String(error);
      }
      expect(message).toContain(variable);
      expect(message).not.toContain('hunter2');
    }
  });

  it('passes only options that the child has on to the child', () => {
    const flags = { threads: '2', port: '1' };
    const environment = { SHOAL_CACHE: 'off', SHOAL_PEER_PORT: '7000', HOME: '/root', SHOAL_EMPTY: '' };
    expect(inheritedVariables(OPTIONS, 'up', 'worker', flags, environment)).toEqual({
      SHOAL_THREADS: '2',
      SHOAL_CACHE: 'off',
    });
    expect(withoutOptions(OPTIONS, environment)).toEqual({ HOME: '/root', SHOAL_EMPTY: '' });
  });
});
