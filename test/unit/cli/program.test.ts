import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { run } from '../../../cli/program.js';
import { CHAOS_OPTIONS } from '../../../src/config/chaos-options.js';
import { COST_OPTIONS } from '../../../src/config/cost-options.js';
import { parseKeysFile } from '../../../src/config/keys-file.js';
import { OPTIONS } from '../../../src/config/options.js';
import { SYNTH_OPTIONS } from '../../../src/config/synth-options.js';
import { cudaMissing } from '../../../src/device/cuda/cuda-runtime.js';

async function shoal(args: string, environment: Record<string, string> = {}) {
  const out: string[] = [];
  const err: string[] = [];
  const io = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
  const code = await run(args === '' ? [] : args.split(' '), { environment, io });
  return { code, out: out.join(''), err: err.join('') };
}

describe('the command line', () => {
  it('shows every command and every option in its help', async () => {
    const { code, out } = await shoal('--help');
    expect(code).toBe(0);
    for (const name of [
      'up',
      'coordinator',
      'worker',
      'status',
      'health',
      'explain',
      'console',
      'bench',
      'chaos',
      'model',
      'doctor',
      'key',
      'version',
    ]) {
      expect(out).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    }
    for (const spec of [
      ...Object.values(OPTIONS),
      ...Object.values(SYNTH_OPTIONS),
      ...Object.values(CHAOS_OPTIONS),
      ...Object.values(COST_OPTIONS),
    ]) {
      const help = (await shoal(`${spec.commands[0]} --help`)).out;
      if (spec.flag !== null) expect(help).toContain(`--${spec.flag}`);
      if (spec.flag !== null) expect(help).toContain(`[${spec.variable}]`);
    }
  });

  it('makes keys whose entry in a keys file has only the digest', async () => {
    const { code, out } = await shoal('key acme-web --json');
    expect(code).toBe(0);
    const { secret, entry } = JSON.parse(out);
    const [read] = parseKeysFile(JSON.stringify({ keys: [entry] }), 'keys.json');
    expect(read).toMatchObject({ id: 'acme-web', secretSha256: createHash('sha256').update(secret).digest('hex') });
    const shown = await shoal('key acme-web');
    expect(parseKeysFile(`keys:\n${shown.out.slice(shown.out.indexOf('  - id'))}`, 'keys.yaml')).toHaveLength(1);
    expect((await shoal('key a:b')).code).toBe(2);
  });

  it('says what sharing saves for a trace, and plainly where it does not pay', async () => {
    const { code, out } = await shoal('cost documents --requests 2000 --workers 4 --cache-bytes 64GiB --json');
    expect(code).toBe(0);
    const cost = JSON.parse(out);
    expect(cost.verdict).toEqual({ pays: true });
    expect(cost.hits.shared).toBeGreaterThan(cost.hits.apart);
    expect(cost.net).toBeGreaterThan(0);
    expect(cost.curve.map(({ shared }: { shared: number }) => shared)).toEqual(
      cost.curve.map(({ shared }: { shared: number }) => shared).toSorted((a: number, b: number) => a - b),
    );
    const alone = await shoal('cost documents --requests 200 --workers 1');
    expect(alone.out).toContain('Sharing does not pay: there is one worker, so there is nothing to share.');
    expect(await shoal('cost nowhere.jsonl')).toMatchObject({ code: 2, err: expect.stringContaining('cannot read') });
    expect(await shoal('cost heads --sample 0')).toMatchObject({ code: 2 });
    expect((await shoal('cost heads --requests 2000 --sample 0.01')).out).toMatch(/^warning: .*use --sample 1$/m);
    expect((await shoal('cost heads --requests 2000')).out).not.toContain('warning');
  });

  it('plans a fleet for a trace', async () => {
    const { code, out } = await shoal('plan heads --requests 1000 --prefill-rate 2000');
    expect(code).toBe(0);
    expect(out).toMatch(/^--workers \d+ --cache-bytes [\d.]+[KMG]iB --replicas [12]$/m);
    expect((await shoal('plan heads --requests 1000 --prefill-rate 0.001')).err).toContain('cannot plan a fleet');
  });

  it('shows the version of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
    expect(await shoal('version')).toEqual({ code: 0, out: `${version}\n`, err: '' });
    expect(await shoal('--version')).toEqual({ code: 0, out: `${version}\n`, err: '' });
  });

  it.each([
    ['up --prot 1', "shoal: unknown option '--prot'\n(Did you mean --port?)"],
    ['up --port', "shoal: option '--port <PORT>' argument missing"],
    ['up --port abc', 'shoal: --port: must be a whole number from 0 to 65535, got "abc"\n'],
    ['up --workers 1000', 'shoal: --workers: must be a whole number from 1 to 64, got "1000"\n'],
    [
      'up --model /nonexistent',
      'shoal: --model (SHOAL_MODEL): must be a model folder with a config.json, got "/nonexistent"',
    ],
    ['up --url http://x', "shoal: unknown option '--url'"],
    ['chaos --every 20', 'shoal: --every: must be a time such as 500ms, 20s, 5m or 1h, from 1s to 24h, got "20"'],
    ['chaos kill-everything', 'shoal: chaos: must be names from kill-worker, kill-both-homes'],
    ['chaos --short herd', 'shoal: --short: must stand without names of faults, got herd'],
    ['chaos --url http://x herd', 'shoal: --url: must stand without names of faults'],
    ['up extra', 'shoal: too many arguments'],
    ['worker', 'shoal: SHOAL_SECRET: must be 16 to 1024 characters'],
    ['coordinator', 'shoal: SHOAL_SECRET: must be 16 to 1024 characters'],
    ['coordinator --replicas many', 'shoal: --replicas: must be a whole number from 1 to 16, got "many"'],
    ['explain', "shoal: missing required argument 'prompt'"],
    [
      'bench speed',
      'shoal: bench: must be one of peer, actor, request, runtime, many, ttft, decode, batch, speculate, structured, serve, kv, hostile, fairness, oracle, audit, device, memory, models, route, tracing, replay, compare, got "speed"',
    ],
    ['model synth', 'shoal: --out (SHOAL_SYNTH_OUT): must be the folder to write'],
    ['model synth --out x --dtype int8', 'shoal: --dtype: must be one of float32, float16, got "int8"'],
    ['flock', "shoal: unknown command 'flock'"],
    ['', 'Usage: shoal'],
  ])('ends %j with 2 and gives the reason', async (args, message) => {
    const { code, out, err } = await shoal(args);
    expect(err).toContain(message);
    expect(code).toBe(2);
    expect(out).toBe('');
  });

  it.skipIf(cudaMissing() === null)('ends with 1 and names what an unavailable device lacks', async () => {
    const { code, err } = await shoal('up --device cuda');
    expect(code).toBe(1);
    expect(err).toMatch(
      /^shoal: CUDA provider not installed: .*fetch the provider with ONNXRUNTIME_NODE_INSTALL=cuda12/,
    );
  });

  it('names a variable with a wrong value', async () => {
    const { code, err } = await shoal('status', { SHOAL_URL: 'ftp://x' });
    expect(code).toBe(2);
    expect(err).toBe('shoal: SHOAL_URL: must be a URL that begins with http:// or https://, got "ftp://x"\n');
  });

  it('ends with 1 and names a remedy when no coordinator answers', async () => {
    const { code, err } = await shoal('status --url http://127.0.0.1:1');
    expect(code).toBe(1);
    expect(err).toMatch(/^shoal: cannot reach a coordinator at http:\/\/127.0.0.1:1: .*shoal up/);
  });

  it('writes a model of any shape, and names the wrong part of an impossible shape', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'shoal-test-'));
    try {
      const made = await shoal(`model synth --out ${folder}/m --layers 1 --context 128`, { SHOAL_SYNTH_HEADS: '2' });
      expect(made).toMatchObject({ code: 0, err: '' });
      const config = JSON.parse(readFileSync(`${folder}/m/config.json`, 'utf8'));
      expect(config).toMatchObject({ num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 128 });
      const impossible = await shoal(`model synth --out ${folder}/m --heads 3 --kv-heads 2`);
      expect(impossible.code).toBe(2);
      expect(impossible.err).toContain('heads');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
