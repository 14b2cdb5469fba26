import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { CLI } from './support/fleet.js';

interface Ended {
  readonly code: number | null;
  readonly out: string;
}

/** Runs a command with its own folder for temporary files. `signal` is sent to it once it has said something. */
async function shoal(args: readonly string[], dir: string, signal: NodeJS.Signals | null = null): Promise<Ended> {
  const child = spawn(process.execPath, [CLI, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: dir },
  });
  const ended = once(child, 'close') as Promise<[number | null]>;
  child.stderr.once('data', () => signal && child.kill(signal)).resume();
  const out = await text(child.stdout);
  return { code: (await ended)[0], out };
}

it('shoal chaos injects a fault, reports what it measured, and leaves nothing behind', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
  try {
    const { code, out } = await shoal(['chaos', 'kill-both-homes', 'wrong-blocks', '--json', '--seed', '3'], dir);
    const { name, seed, rows } = JSON.parse(out) as { name: string; seed: number; rows: Record<string, unknown>[] };
    expect([name, seed, rows.length]).toEqual(['chaos', 3, 2]);
    expect(rows[0]).toMatchObject({ fault: 'kill-both-homes', pass: true, figures: { failed_requests: 0, killed: 2 } });
    expect(rows[1]).toMatchObject({ fault: 'wrong-blocks', pass: true, figures: { quarantined: 1, wrong_answers: 0 } });
    expect(code).toBe(0);
    expect(readdirSync(dir)).toEqual([]);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

it.each([
  ['chaos kill-worker', 'SIGINT', 130],
  ['chaos kill-worker', 'SIGTERM', 143],
  ['bench peer', 'SIGINT', 130],
] as const)(
  'shoal %s that is ended by %s has the exit code %i, and leaves nothing behind',
  async (command, signal, expected) => {
    const dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    try {
      const { code } = await shoal(command.split(' '), dir, signal);
      expect(code).toBe(expected);
      expect(readdirSync(dir)).toEqual([]);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  },
);
