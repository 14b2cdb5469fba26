import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CLI } from './support/fleet.js';

const page = readFileSync(fileURLToPath(new URL('../../docs/DRILL.md', import.meta.url)), 'utf8');
const blocks = [...page.matchAll(/^```sh run\n([\s\S]*?)^```/gm)].map(([, block]) => block!);
/** Marks when a block begins, in milliseconds of the time of day. */
const MARK = 'echo "block $(date +%s%3N)"';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-drill-'));
});
afterEach(async () => {
  // What a block that failed has left.
  const group = Number(await readFile(join(folder, 'up.pid'), 'utf8').catch(() => '0'));
  try {
    if (group > 1) process.kill(-group, 'SIGKILL');
  } catch {
    // It has ended.
  }
  await rm(folder, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Runs the blocks in one shell. Resolves with what they printed. */
async function drill(port: number): Promise<{ code: number; out: string }> {
  const script = `set -eo pipefail; shoal() { node ${JSON.stringify(CLI)} "$@"; }\n`;
  const child = spawn('bash', ['-c', script + blocks.map((block) => `${MARK}\n${block}`).join('\n')], {
    cwd: folder,
    env: { ...process.env, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err, code] = await Promise.all([
    child.stdout.toArray(),
    child.stderr.toArray(),
    new Promise<number>((resolve) => child.on('exit', (status) => resolve(status ?? 1))),
  ]);
  return { code, out: Buffer.concat([...out, ...err]).toString() };
}

describe('the drill', () => {
  it('brings back a fleet of which every process was killed, with its answers and objects', {
    timeout: 300_000,
  }, async () => {
    const { code, out } = await drill(await freePort());
    expect(code, out).toBe(0);
    const began = [...out.matchAll(/^block (\d+)$/gm)].map(([, ms]) => Number(ms));
    expect(began).toHaveLength(blocks.length);
    console.log(`the drill: back after ${((began[3]! - began[1]!) / 1_000).toFixed(1)} s`);
  });
});
