import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';
import { startNatsServer } from '../../cli/nats/embedded-server.js';
import { findNatsServer } from '../../cli/nats/find-server.js';
import { CLI, Fleet } from './support/fleet.js';

/** The examples of the runtime for users' code, as their first lines say how to run them. */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const LIMIT_MS = 120_000;
const ran = promisify(execFile);
const dirs: string[] = [];

afterAll(() => Promise.all(dirs.map((dir) => rm(dir, { recursive: true, force: true }))));

const EXAMPLES: [name: string, args: string[], expected: RegExp[]][] = [
  ['map-reduce', ['docs'], [/^\d+ files, \d+ different words; the most frequent:$/m, /^\d+\tthe$/m]],
  ['parameter-server', [], [/^weights (?:2\.9|3\.0)\d -(?:1\.9|2\.0)\d$/m]],
  ['crawler', [], [/^200 pages by 4 crawlers$/m]],
  [
    'retrieval',
    ['docs', 'A node renews a lease in the store'],
    [/^\d+ paragraphs in \d+ batches and 3 shards$/m, /^0\.\d+ \S/m],
  ],
  ['chaos', ['1'], [/^killed \S+; the ledger/m, /^results right: true; each addition counted once: true$/m]],
];

it.each(EXAMPLES)('%s runs', { timeout: 2 * LIMIT_MS }, async (name, args, expected) => {
  const folder = `examples/${name}`;
  const command = [CLI, 'run', `${folder}/app.js`, ...args, '--actors', `${folder}/code.js`];
  const { stdout } = await ran(process.execPath, command, { cwd: ROOT, timeout: LIMIT_MS });
  for (const line of expected) expect(stdout).toMatch(line);
});

it('agents run where the K/V of their briefing is', { timeout: 3 * LIMIT_MS }, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'shoal-agents-'));
  dirs.push(dir);
  const server = await startNatsServer({ path: (await findNatsServer()).path, dir });
  const access = {
    SHOAL_NATS_USER: server.user,
    SHOAL_NATS_PASSWORD: server.password,
    SHOAL_SECRET: 'sixteen characters',
  };
  const args = ['--nats', server.url, '--workers', '2', '--actors', 'examples/agents/code.js'];
  const fleet = await Fleet.up(args, access);
  try {
    const env = { ...process.env, ...access, SHOAL_NATS: server.url, SHOAL_URL: fleet.ready.url };
    const { stdout } = await ran(process.execPath, ['examples/agents/app.js'], { cwd: ROOT, env, timeout: LIMIT_MS });
    expect(stdout).toMatch(/^without near: 10 agents on 2 workers, \d+ ms; tokens: \d+ local/m);
    // The first agents may come before the coordinator has heard which worker has the blocks: on a busy machine two of them.
    const near = /^with near: 10 agents on 1 worker, \d+ ms; tokens: (\d+) local, (\d+) fetched/m.exec(stdout);
    expect(near, stdout).not.toBeNull();
    expect(Number(near![1])).toBeGreaterThan(3 * Number(near![2]));
  } finally {
    await fleet.stop();
    await server.stop();
  }
});

it('all run here', async () => {
  const folders = ['agents', 'kv-cache', ...EXAMPLES.map(([name]) => name)];
  expect(await readdir(`${ROOT}examples`)).toEqual(folders.sort());
});
