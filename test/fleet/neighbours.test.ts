import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CLI, Fleet } from './support/fleet.js';

const NAMESPACE = ['-p', '-f', '--mount-proc', '--kill-child'];
const mayUnshare = spawnSync('unshare', [...NAMESPACE, 'true']).status === 0;

describe('two fleets that share the folder for temporary files', () => {
  let temporary: string;
  let fleet: Fleet | null = null;

  beforeEach(() => {
    temporary = mkdtempSync(join(tmpdir(), 'shoal-test-'));
  });
  afterEach(async () => {
    await fleet?.stop();
    rmSync(temporary, { recursive: true, force: true });
  });

  const runs = () => readdirSync(temporary).filter((name) => /^shoal-\d+-/.test(name));

  it.runIf(mayUnshare)('do not harm each other, though neither sees the processes of the other', async () => {
    fleet = await Fleet.up(['--workers', '1'], { TMPDIR: temporary });
    const [run] = runs();
    const up = [process.execPath, CLI, 'up', '--json', '--port', '0', '--workers', '1'];
    const other = spawn('unshare', [...NAMESPACE, ...up], {
      env: { ...process.env, TMPDIR: temporary },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const gone = once(other, 'exit');
    try {
      const [line] = (await once(createInterface({ input: other.stdout! }), 'line')) as [string];
      expect(JSON.parse(line)).toMatchObject({ ready: true });
      expect(runs()).toHaveLength(2);
      expect(runs()).toContain(run);
      const [worker] = fleet.ready.workers;
      process.kill(worker!.pid, 'SIGKILL');
      await fleet.until((all) => all.some(({ pid, state }) => pid !== worker!.pid && state === 'serving'));
    } finally {
      other.kill('SIGKILL');
      await gone;
    }
  });
});
