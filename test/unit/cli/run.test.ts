import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { run } from '../../../cli/run.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-test-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

it.each([
  ['that it exits with', 'process.exit(3)', 3],
  ['of the signal that ended it', "process.kill(process.pid, 'SIGTERM')", 143],
  ['of Ctrl-C', "process.kill(process.pid, 'SIGINT')", 130],
  ['that it chose after a signal', "process.on('SIGTERM', () => process.exit(0)).kill(process.pid, 'SIGTERM')", 0],
])('shoal run has the exit code of its program: the one %s', async (_, code, expected) => {
  const program = join(dir, 'program.mjs');
  writeFileSync(program, `setInterval(() => {}, 1_000);\n${code};\n`);
  const io = { out: () => {}, err: () => {} };
  const environment = { PATH: process.env.PATH, SHOAL_NATS: 'nats://127.0.0.1:1' };
  expect(await run({ environment, reread: () => environment, io, flags: {}, args: [program] })).toBe(expected);
});
