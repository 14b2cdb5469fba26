import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type PlainNats, plainNats } from '../../../bench/fleet/plain-nats.js';
import { RecallLoad } from '../../../bench/fleet/recall-load.js';
import { recallSheet } from '../../../bench/fleet/recall-sheet.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import { JoinedCoordinator } from '../support/joined-coordinator.js';
import { JoinedWorker } from '../support/joined-worker.js';
import { NatsProxy } from '../support/nats-proxy.js';

/** Time in which a member that alone lost NATS would be suspected of its silence, and its own bus notices the loss. */
const LOST_MS = 5_000;
const ENV = { SHOAL_SECRET: 'a secret of the fleet in this test', SHOAL_LOG_LEVEL: 'info' };

describe('a member that alone loses NATS', () => {
  let dir: string;
  let nats: PlainNats;
  let proxy: NatsProxy;
  let coordinator: JoinedCoordinator;
  let workers: JoinedWorker[] = [];

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    nats = await plainNats((await findNatsServer()).path, ['-js', '-sd', join(dir, 'store')]);
    proxy = await NatsProxy.start(nats.url);
  });
  afterEach(async () => {
    proxy.heal();
    await Promise.all([...workers, coordinator].map((each) => each?.stop()));
    await proxy.stop();
    await nats.stop('SIGKILL');
    await rm(dir, { recursive: true, force: true });
  });

  /** Starts a coordinator and three workers; the member of this id is behind the proxy. */
  async function start(alone: string): Promise<void> {
    const env = (id: string) => ({ ...ENV, SHOAL_NATS: id === alone ? proxy.url : nats.url });
    const args = ['--threads', '1', '--cache-bytes', '128MiB', '--metrics-port', 'off'];
    workers = ['a', 'b', 'c'].map((id) => new JoinedWorker(id, args, env(id)));
    coordinator = await JoinedCoordinator.start('coordinator', env('coordinator'));
    await coordinator.until((all) => all.filter(({ state }) => state === 'serving').length === 3);
  }

  it('as a worker, is never suspected, and serves its share', async () => {
    await start('c');
    const load = new RecallLoad(coordinator, 3, 100);
    try {
      await load.more(20);
      const blocks = async () => (await coordinator.workers()).find(({ id }) => id === 'c')!.blocks;
      proxy.hang();
      await workers[2]!.logged('hears nobody');
      const before = await blocks();
      let over = false;
      void pause(LOST_MS).then(() => {
        over = true;
      });
      const states = new Set<string>();
      while (!over) for (const { state } of await coordinator.workers()) states.add(state);
      expect([...states]).toEqual(['serving']);
      expect(await blocks()).toBeGreaterThan(before);
    } finally {
      await load.stop();
    }
    expect(load.failed).toEqual([]);
    expect(await load.wrong()).toEqual([]);
  });

  it('as a coordinator, still hears of loads, holdings and leaves', async () => {
    await start('coordinator');
    proxy.hang();
    await coordinator.process.logged('lost NATS');
    const { notes } = recallSheet(48, 7);
    await coordinator.complete({ prompt: notes });
    // The worker that computes them, and their other home.
    while ((await coordinator.holders(notes)).size < 2);
    const [leaving] = workers;
    await leaving!.stop();
    const left = await coordinator.until((all) => all.length === 2);
    expect(left.map(({ id, state }) => [id, state])).toEqual([
      ['b', 'serving'],
      ['c', 'serving'],
    ]);
  });
});
