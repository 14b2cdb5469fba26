import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLI, Fleet } from './support/fleet.js';

const page = readFileSync(fileURLToPath(new URL('../../docs/TUTORIAL.md', import.meta.url)), 'utf8');
const blocks = [...page.matchAll(/^```sh run\n([\s\S]*?)^```/gm)].map(([, block]) => block!);

describe('the tutorial', () => {
  let fleet: Fleet;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    fleet = await Fleet.up(['--workers', '3']);
  });
  afterAll(async () => {
    await fleet?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('has blocks to run', () => expect(blocks.length).toBeGreaterThan(6));

  it.each(blocks)('runs %s', async (block) => {
    const script = `set -eo pipefail; shoal() { node ${JSON.stringify(CLI)} "$@"; }\n${block}`;
    await promisify(execFile)('bash', ['-c', script], { cwd: folder, env: { ...process.env, URL: fleet.url } });
  });
});
