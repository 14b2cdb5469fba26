import { renameSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { type EmbeddedServer, startNatsServer } from '../../cli/nats/embedded-server.js';
import { findNatsServer } from '../../cli/nats/find-server.js';
import { Fleet } from './support/fleet.js';
import { JoinedWorker } from './support/joined-worker.js';

/** Workers that no worker can dial for longer than a few tries take, while NATS and the coordinator reach them. */

/** In this time a replicator that gave up after four tries would have done so. */
const UNREACHABLE_MS = 6_000;
const HEALED_WITHIN_MS = 30_000;

describe('workers that cannot be dialled', () => {
  let folder: string;
  let server: EmbeddedServer;
  let fleet: Fleet;
  let joined: JoinedWorker[] = [];

  afterEach(async () => {
    await Promise.all(joined.map((worker) => worker.stop()));
    await fleet?.stop();
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('get all blocks that others owe them soon after they can be', async () => {
    folder = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    server = await startNatsServer({ path: (await findNatsServer()).path, dir: folder });
    const access = {
      SHOAL_NATS: server.url,
      SHOAL_NATS_USER: server.user,
      SHOAL_NATS_PASSWORD: server.password,
      SHOAL_SECRET: 'a secret of the fleet in this test',
    };
    fleet = await Fleet.up(['--workers', '1', '--replicas', '2'], access);
    const sockets = ['far-1', 'far-2'].map((id) => join(folder, `${id}.sock`));
    const args = ['--replicas', '2', '--peer-port', 'off'];
    joined = sockets.map((path, i) => new JoinedWorker(`far-${i + 1}`, [...args, '--peer-socket', path], access));
    await fleet.until((all) => all.length === 3 && all.every(({ state }) => state === 'serving'));
    // The sockets are moved before any worker has dialled another. Connections of the coordinator stay.
    for (const path of sockets) renameSync(path, `${path}.away`);
    const prompts = Array.from({ length: 6 }, (_, i) => {
      const sheet = recallSheet(24, 100 + i);
      return recallPrompt(sheet, sheet.questions[0]!.question);
    });
    for (const prompt of prompts) await fleet.complete({ prompt }, { 'x-shoal-worker': 'worker-1' });
    await sleep(UNREACHABLE_MS);
    expect(await copiesOf(prompts)).toContain(1);
    for (const path of sockets) renameSync(`${path}.away`, path);
    const healedMs = Date.now();
    while ((await copiesOf(prompts)).some((copies) => copies < 2));
    expect(Date.now() - healedMs).toBeLessThan(HEALED_WITHIN_MS);
    expect((await fleet.workers()).map(({ state }) => state)).toEqual(Array(3).fill('serving'));
  });

  async function copiesOf(prompts: readonly string[]): Promise<number[]> {
    return (await Promise.all(prompts.map((prompt) => fleet.copies(prompt)))).flat();
  }
});
