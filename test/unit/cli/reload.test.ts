import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { handedEnvironment, handedFile } from '../../../cli/handed-file.js';
import { run } from '../../../cli/program.js';
import { OptionReload } from '../../../cli/reload.js';
import { fileVariables, withConfigFile } from '../../../src/config/config-file.js';
import { OPTIONS } from '../../../src/config/options.js';
import type { ReloadedOptions } from '../../../src/reload.js';

function optionsFile(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'shoal.config.yaml');
  writeFileSync(path, text);
  return path;
}

describe('options that are read again', () => {
  it('change what may change, name what needs a restart, and stay where the file is wrong', async () => {
    const path = optionsFile('log-level: info\nsequences: 4\n');
    const taken: ReloadedOptions[] = [];
    const lines: string[] = [];
    const reread = () => withConfigFile(path, OPTIONS, { OTEL_TRACES_SAMPLER_ARG: '0.5' });
    const context = { flags: {}, args: [], environment: reread(), reread, io: { out: () => {}, err: () => {} } };
    const reload = new OptionReload('worker', context, (level, text) => lines.push(`${level}: ${text}`));
    let faults: string[] = [];
    const role = {
      reload: async (options: ReloadedOptions) => {
        taken.push(options);
        return faults;
      },
    };

    writeFileSync(path, 'log-level: debug\nsequences: 8\notlp-sampling: 0.1\n');
    await reload.run(role);
    expect(taken).toEqual([{ logLevel: 'debug', traceRatio: 0.5 }]);
    expect(lines).toEqual([
      'warn: changed options that need a restart: sequences',
      'info: read options and files again: log level debug',
    ]);
    writeFileSync(path, 'log-level: loud\n');
    await reload.run(role);
    expect(taken).toHaveLength(1);
    expect(lines[2]).toMatch(/^error: the options stay as they were: .*shoal.config.yaml:1: log-level: must be one of/);
    writeFileSync(path, 'log-level: debug\nsequences: 8\n');
    faults = ['keys.yaml:1:1: must be a mapping'];
    await reload.run(role);
    expect(lines.at(-1)).toBe(
      'error: read options again: log level debug; files stay as they were: keys.yaml:1:1: must be a mapping',
    );
  });

  it('come to the children of shoal up from its file, unless a flag or variable of shoal up decides them', async () => {
    const path = optionsFile('log-level: info\notlp-sampling: 0.5\nport: 8080\nsequences: 4\n');
    const up = handedFile(path, OPTIONS, { logLevel: 'error' }, { OTEL_SERVICE_NAME: 'given' });
    const own = { SHOAL_LOG_LEVEL: 'error', OTEL_TRACES_SAMPLER_ARG: '0.5', SHOAL_PORT: '8081', SHOAL_SEQUENCES: '4' };
    const reread = handedEnvironment(OPTIONS, { ...own, ...up })!;
    writeFileSync(path, 'log-level: debug\notlp-sampling: 0.1\nport: 8080\nsequences: 8\notlp-service: other\n');
    expect(reread()).toMatchObject({ ...own, OTEL_TRACES_SAMPLER_ARG: '0.1', SHOAL_SEQUENCES: '8' });
    expect(reread().OTEL_SERVICE_NAME).toBeUndefined();
    writeFileSync(path, 'port: [');
    expect(reread).toThrow(path);
    rmSync(path);
    expect(reread).toThrow('cannot read');

    const unnamed = handedEnvironment(OPTIONS, { ...own, ...handedFile(optionsFile(''), OPTIONS, {}, {}) })!;
    expect(unnamed()).toMatchObject({ SHOAL_LOG_LEVEL: 'warn', OTEL_TRACES_SAMPLER_ARG: undefined });
    expect(handedEnvironment(OPTIONS, own)).toBeNull();
  });
});

describe('shoal config print', () => {
  async function print(environment: Record<string, string>, ...args: string[]) {
    let [out, err] = ['', ''];
    const io = {
      out: (text: string) => {
        out += text;
      },
      err: (text: string) => {
        err += text;
      },
    };
    return { code: await run(['config', 'print', ...args], { environment, io }), out, err };
  }

  it('shows each option with its source, and no secret', async () => {
    const path = optionsFile('replicas: 3\ncache-bytes: 2GiB\nlog-level: info\n');
    const environment = { SHOAL_SECRET: 'a secret of sixteen', SHOAL_LOG_LEVEL: 'debug', SHOAL_NATS: 'nats://u:p@h' };
    const { code, out } = await print(environment, 'worker', '--config', path);
    expect(code).toBe(0);
    expect(out).toContain('\nreplicas: 3 # file\n');
    expect(out).toContain('\nlog-level: debug # variable; read again at SIGHUP\n');
    expect(out).toContain('\nsequences: 8 # default\n');
    expect(out).toContain('\n# SHOAL_SECRET: set by variable, not shown\n');
    expect(out).not.toMatch(/sixteen|u:p@h/);
    expect(JSON.parse((await print(environment, 'worker', '--config', path, '--json')).out)).toMatchObject({
      'cache-bytes': { value: '2GiB', from: 'file' },
      SHOAL_NATS_PASSWORD: { value: null, from: 'default' },
    });
  });

  it('shows no credentials of a URL, and a file that can be used all the same', async () => {
    const url = 'http://me:hush-hush@collector:4318/v1?token=hush-too';
    for (const role of ['up', 'coordinator', 'worker', 'node']) {
      const { out } = await print({ OTEL_EXPORTER_OTLP_ENDPOINT: url }, role);
      expect(out).toContain(
        '\n# otlp-endpoint: http://[redacted]@collector:4318/v1?[redacted] # variable; its credentials are not shown\n',
      );
      expect(Object.keys(fileVariables(out, 'printed', OPTIONS)).length).toBeGreaterThan(2);
      const json = await print({ OTEL_EXPORTER_OTLP_ENDPOINT: url }, role, '--json');
      expect(json.out + out).not.toContain('hush');
    }
  });

  it.each(['up', 'coordinator', 'worker', 'node'])('prints for %s a file that --config takes', async (role) => {
    const { out } = await print({}, role);
    expect(Object.keys(fileVariables(out, 'printed', OPTIONS)).length).toBeGreaterThan(2);
  });

  it('refuses other roles and wrong values', async () => {
    expect(await print({}, 'nats')).toMatchObject({ code: 2, err: expect.stringContaining('must be one of') });
    expect(await print({ SHOAL_REPLICAS: '0' }, 'worker')).toMatchObject({ code: 2 });
  });
});
