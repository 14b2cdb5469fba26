import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Fleet } from '../support/fleet.js';
import { mayMount } from '../support/may-mount.js';

const DISK_MIB = 4;
const PROMPT = 'Notes: '.repeat(40);

describe.skipIf(!mayMount())('a full disk under the store of NATS', () => {
  let disk: string;
  let fleet: Fleet | null;

  beforeEach(async () => {
    disk = mkdtempSync(join(tmpdir(), 'shoal-test-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m,mode=700`, 'tmpfs', disk]);
    fleet = null;
    fleet = await Fleet.up(['--workers', '1'], { TMPDIR: disk });
  });
  afterEach(async () => {
    await fleet?.stop();
    // The guard of the nats-server ends a moment after the fleet.
    await expect.poll(() => spawnSync('umount', [disk]).status, { timeout: 60_000 }).toBe(0);
    rmdirSync(disk);
  });

  const pin = async (prompt: string) => {
    const response = await fleet!.post('/v1/cache/pin', { prompt });
    return { status: response.status, text: await response.text() };
  };
  /** The first refusal by the store: its files have a little room left, and on a busy machine it may answer late, or so late that the connection is made again. */
  const refusal = async () => {
    for (let i = 0; ; i++) {
      const answer = await pin(`${i}. ${PROMPT}`);
      if (answer.status !== 200 && !/timeout|not connected/.test(answer.text)) return answer;
    }
  };
  const health = async () =>
    (await (await fetch(`${fleet!.url}/health`)).json()) as { status: string; degraded?: string };

  it('is named by pins and by health, and is survived once there is room again', async () => {
    const filling = join(disk, 'filling');
    expect(() => writeFileSync(filling, new Uint8Array(DISK_MIB * 2 ** 20))).toThrow('no space');
    const refused = await refusal();
    expect(refused.status).toBe(503);
    expect(refused.text).toMatch(/disk .*full.*free space/);
    expect(await health()).toMatchObject({ status: 'degraded', degraded: 'store' });
    expect((await fleet!.complete({ prompt: PROMPT, max_tokens: 1 })).usage.completion_tokens).toBe(1);
    while (!fleet!.log.includes(`the disk of ${disk}`)) await health();
    rmSync(filling);
    while ((await pin(PROMPT)).status !== 200);
    while ((await health()).status !== 'ok');
  });
});
