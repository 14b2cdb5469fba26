import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fleet } from './support/fleet.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FOLDER = 'examples/kv-cache';
/** Clients and requests of the load test. The example itself has 100 and 1,000. */
const CLIENTS = process.env.SHOAL_EXAMPLE_CLIENTS ?? '20';
const REQUESTS = process.env.SHOAL_EXAMPLE_REQUESTS ?? '200';

/** What an example prints, in order. It ends with 0, or this rejects. */
async function printed(file: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [`${FOLDER}/${file}`, ...args], { cwd: ROOT });
  return stdout;
}

const EXAMPLES: [file: string, args: string[], expected: RegExp[]][] = [
  [
    'local-cache.js',
    [],
    [/^prefetched 4 layers, 524288 bytes here$/m, /^read 4 layers, 0 are left/m, /is here: true$/m],
  ],
  ['distributed-cache.js', [], [/^6 engines took 24 layers: 4 computed, the rest from the fleet$/m]],
  [
    'serializer.js',
    [],
    [/^as it is +\d+ +0\.000000$/m, /^zstd +\d+ +0\.000000$/m, /^int8 \+ zstd +\d+ +0\.0[01]\d+$/m],
  ],
  [
    'prefix-matching.js',
    [],
    [
      /^a question under the same system prompt: 192 of 232 tokens have K\/V, 40 are/m,
      /begins otherwise: 0 of 232/,
      /have 83 % in common/,
    ],
  ],
  ['health.js', [], [/is healthy: wrote and read an object in [\d.]+ ms$/m, /^\d+ objects, \d+ of \d+ bytes/m]],
  [
    'load-test.js',
    [CLIENTS, REQUESTS],
    [new RegExp(`^${REQUESTS} requests of ${CLIENTS} clients in .*, 0 failed$`, 'm')],
  ],
  ['strategies.js', ['8'], [/^compute always +[\d.]+ +0$/m, /^fleet, int8 +[\d.]+ +\d+$/m]],
];

describe('the examples of a cache for K/V', () => {
  let fleet: Fleet;

  beforeAll(async () => {
    fleet = await Fleet.up(['--workers', '2', '--object-bytes', '128MiB']);
  });
  afterAll(async () => {
    await fleet?.stop();
  });

  it.each(EXAMPLES)('%s runs on a fleet', async (file, args, expected) => {
    const output = await printed(file, fleet.ready.url, ...args);
    for (const line of expected) expect(output).toMatch(line);
  });

  it('failover.js loses nothing with a worker', { timeout: 180_000 }, async () => {
    expect(await printed('failover.js')).toMatch(/^60 layers acknowledged, 0 lost or wrong$/m);
  });

  it('health.js says that there is no fleet', async () => {
    const failed = { code: 1, stdout: expect.stringMatching(/^the cache does not work: cannot reach/) };
    await expect(printed('health.js', 'http://127.0.0.1:1')).rejects.toMatchObject(failed);
  });

  it('all run here', () => {
    const run = [...EXAMPLES.map(([file]) => file), 'failover.js', 'layer.js'];
    expect(readdirSync(`${ROOT}${FOLDER}`).filter((name) => name.endsWith('.js'))).toEqual(run.toSorted());
  });
});
