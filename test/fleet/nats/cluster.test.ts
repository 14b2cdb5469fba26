import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NatsCluster } from '../../../bench/fleet/nats-cluster.js';
import { RecallLoad } from '../../../bench/fleet/recall-load.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import { connectNats } from '../../../src/bus/nats-connect.js';
import { Fleet } from '../support/fleet.js';
import { JoinedWorker } from '../support/joined-worker.js';

const SECRET = { SHOAL_SECRET: 'a secret of the fleet in this test', SHOAL_LOG_LEVEL: 'info' };
const SERVERS = 3;

describe('a fleet on a cluster of three NATS servers', () => {
  let dir: string;
  let nats: NatsCluster;
  let fleet: Fleet | undefined;
  let wrong: JoinedWorker | undefined;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    nats = await NatsCluster.start((await findNatsServer()).path, dir, SERVERS);
  });
  afterEach(async () => {
    await wrong?.stop();
    await fleet?.stop();
    await nats?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  /** The number of servers that keep each bucket. */
  async function replicas(): Promise<number[]> {
    const { connection } = await connectNats({ url: nats.urls });
    const answer = await connection.request('$JS.API.STREAM.LIST', '{}', { timeout: 5_000 });
    await connection.close();
    return answer
      .json<{ streams: { config: { num_replicas: number } }[] }>()
      .streams.map(({ config }) => config.num_replicas);
  }

  it('loses no request to the death of any one of them, and checks newcomers meanwhile', async () => {
    const env = { ...SECRET, SHOAL_NATS: nats.urls };
    fleet = await Fleet.up(['--workers', '2'], env);
    const before = await fleet.pids();
    expect(new Set(await replicas())).toEqual(new Set([SERVERS]));
    const load = new RecallLoad(fleet, 4, 100);
    try {
      await load.more(20);
      // One after another: among them is the server of each process.
      for (let server = 0; server < SERVERS; server++) {
        await nats.kill(server);
        wrong ??= new JoinedWorker('wrong', ['--replicas', '3', '--metrics-port', 'off'], env);
        await load.more(20);
        await fleet.until((all) => all.filter(({ state }) => state === 'serving').length === 2);
        expect(await wrong.ended).toBe(1);
        await nats.restart(server);
      }
      expect(wrong!.lines.join('\n')).toContain('replicas is 2 there, 3 here');
    } finally {
      await load.stop();
    }
    expect(load.failed).toEqual([]);
    expect(await load.wrong()).toEqual([]);
    expect(await fleet.pids()).toEqual(before);
  });
});
