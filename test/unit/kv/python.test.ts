import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpServer } from '../../../coordinator/http/server.js';
import { narrow } from '../../../src/kv/encoding/float-bits.js';
import type { KVEncoding } from '../../../src/kv/encoding/tensor-encoding.js';
import { KVClient } from '../../../src/kv/kv-client.js';
import type { KVFloat } from '../../../src/kv/kv-tensor.js';
import { RespStation } from '../resp/support/resp-station.js';
import { kvServer } from './support.js';

/** The client in Python, on the objects of one worker over HTTP and over the Redis protocol. */

const PACKAGE = fileURLToPath(new URL('../../../clients/python', import.meta.url));
const run = promisify(execFile);

function hasPython(code: string): boolean {
  try {
    execFileSync('python3', ['-c', code], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const PYTHON = hasPython('import sys; sys.exit(sys.version_info < (3, 9))');
const PIP = PYTHON && hasPython('import pip');
const CASTS = [undefined, 'float16', 'bfloat16', 'int8', 'float8e4m3fn'] as const;
const COMPRESSIONS = [undefined, 'lz4', 'zstd'] as const;
const ENCODINGS: KVEncoding[] = CASTS.flatMap((cast) => COMPRESSIONS.map((compression) => ({ cast, compression })));

describe.runIf(PYTHON)('the client in Python (python3 >= 3.9)', () => {
  let station: RespStation;
  let server: HttpServer;
  let env: NodeJS.ProcessEnv;

  beforeAll(async () => {
    station = await RespStation.open();
    server = await kvServer(station);
    env = {
      ...process.env,
      PYTHONDONTWRITEBYTECODE: '1',
      SHOAL_TEST_HTTP: server.url,
      SHOAL_TEST_REDIS: `redis://127.0.0.1:${station.server.port}`,
      SHOAL_TEST_LAYERS: JSON.stringify(await writeLayers()),
    };
  });
  afterAll(async () => {
    await server.close();
    await station.close();
  });

  /** Stores a layer in every encoding; gives what this client reads of each. */
  async function writeLayers() {
    const shape = [2, 3, 4];
    const values = Float32Array.from({ length: 24 }, (_, at) => Math.sin(at) * 2 ** (at - 12));
    const rows = [];
    for (const [layer, encoding] of ENCODINGS.entries()) {
      const kv = new KVClient(server.url, { model: 'from typescript/1!', encoding });
      const dtype = (['float32', 'float16', 'bfloat16'] as KVFloat[])[layer % 3]!;
      const tensor = { dtype, shape, layout: 'htd', bytes: narrow(dtype, values) };
      await kv.put('a prompt', layer, { k: tensor, v: tensor });
      const { k } = (await kv.get('a prompt', layer))!;
      rows.push({ dtype, shape, hex: Buffer.from(k.bytes).toString('hex') });
    }
    return rows;
  }

  const unittest = (module: string) =>
    run('python3', ['-m', 'unittest', '-v', module], {
      cwd: join(PACKAGE, 'tests'),
      env: { ...env, PYTHONPATH: PACKAGE },
    });

  it.each(['test_keys', 'test_client', 'test_vllm'])('passes %s', { timeout: 180_000 }, async (module) => {
    const { stderr } = await unittest(module);
    expect(stderr).toMatch(/\nOK/);
  });

  it('writes layers that the client in TypeScript reads', { timeout: 120_000 }, async () => {
    await unittest('test_client.Client.test_writes_what_another_client_reads');
    const kv = new KVClient(server.url, { model: 'from python' });
    for (const layer of [0, 1]) {
      expect(await kv.has({ key: 'ab'.repeat(32) }, layer)).toBe(true);
      const { k, v } = (await kv.get([5, 6], layer))!;
      const numbers = (first: number) =>
        narrow(
          'float16',
          Float32Array.from({ length: 24 }, (_, at) => first + at),
        );
      for (const [tensor, first] of [
        [k, 1],
        [v, 2],
      ] as const) {
        expect(tensor).toMatchObject({ dtype: 'float16', shape: [2, 3, 4], layout: 'htd' });
        expect(Buffer.compare(tensor.bytes, numbers(first))).toBe(0);
      }
    }
  });

  it.runIf(PIP)('is installed by pip without a network', { timeout: 180_000 }, async () => {
    const target = mkdtempSync(join(tmpdir(), 'shoal-python-'));
    try {
      const quiet = ['--quiet', '--disable-pip-version-check', '--no-index', '--no-cache-dir'];
      await run('python3', ['-m', 'pip', 'install', ...quiet, '--target', target, PACKAGE], { env });
      const code = 'import shoal_kv; print(shoal_kv.__file__)';
      const { stdout } = await run('python3', ['-c', code], { env: { ...env, PYTHONPATH: target }, cwd: target });
      expect(stdout).toContain(target);
    } finally {
      rmSync(target, { recursive: true, force: true });
    }
    expect(readdirSync(PACKAGE).filter((name) => /build$|egg-info$|dist$/.test(name))).toEqual([]);
    expect(existsSync(join(PACKAGE, 'shoal_kv'))).toBe(true);
  });
});
