import { afterEach, describe, expect, it } from 'vitest';
import { Prefixes } from '../../bench/chaos/prefixes.js';
import type { WorkerRow } from '../../bench/fleet/fleet-api.js';
import { plainNats } from '../../bench/fleet/plain-nats.js';
import { RecallLoad } from '../../bench/fleet/recall-load.js';
import { findNatsServer } from '../../cli/nats/find-server.js';
import { Fleet } from './support/fleet.js';
import { JoinedWorker } from './support/joined-worker.js';

/** Faults that workers have because the console orders them. */

const sameProcess = ({ id, incarnation, pid }: WorkerRow) => ({ id, incarnation, pid });
const rowOf = (workers: readonly WorkerRow[], id: string) => workers.find((row) => row.id === id)!;

describe('a fault that an operator orders', () => {
  let fleet: Fleet | null = null;
  afterEach(async () => {
    await fleet?.stop();
    fleet = null;
  });

  const order = async (worker: string, fault: string, seconds: number) => {
    const response = await fleet!.post(`/v1/fleet/workers/${worker}/${fault}`, { seconds });
    return { status: response.status, body: await response.json() };
  };

  /** Asks worker-2 the prompts whose blocks are never pushed, as worker-1 is their home. Gives their number, and the tokens that worker-2 fetched. */
  const fetched = async ({ prompts }: Prefixes) => {
    let [asked, tokens] = [0, 0];
    for (const { prompt } of prompts) {
      if ((await fleet!.blocks(prompt)).some(({ homes }) => homes[0] !== 'worker-1')) continue;
      asked++;
      tokens += (await fleet!.complete({ prompt }, { 'x-shoal-worker': 'worker-2' })).shoal.cached.remote;
    }
    return { asked, tokens };
  };

  it('cuts a worker off: no request fails, no answer is wrong, and the same process comes back with its blocks', async () => {
    fleet = await Fleet.up(['--workers', '3', '--replicas', '2', '--allow-chaos']);
    const before = await fleet.until((workers) => workers.filter(({ state }) => state === 'serving').length === 3);
    const prefixes = await Prefixes.compute(fleet, 4, { seed: 10_000, worker: 'worker-2' });
    const load = new RecallLoad(fleet, 2, 100);
    await load.more(10);
    expect(await order('worker-2', 'cut-off', 10)).toMatchObject({ status: 200, body: { fault: 'cut-off' } });
    expect(await order('worker-2', 'cut-off', 10)).toMatchObject({
      status: 409,
      body: { error: { message: expect.stringContaining("'cut-off'") } },
    });
    await fleet.until((workers) => rowOf(workers, 'worker-2').state === 'dead');
    await load.more(10);
    const after = await fleet.until((workers) => workers.every(({ state }) => state === 'serving'));
    await load.more(10);
    await load.stop();
    expect(load.failed).toEqual([]);
    expect(await load.wrong()).toEqual([]);
    expect(after.map(sameProcess)).toEqual(before.map(sameProcess));
    const [{ prompt } = { prompt: '' }] = prefixes.prompts;
    const again = await fleet.complete({ prompt }, { 'x-shoal-worker': 'worker-2' });
    expect(again.shoal.cached.local).toBeGreaterThan(0);
    expect(await prefixes.wrong('worker-2')).toBe(0);
  });

  it('corrupts the blocks that a worker gives: the others refuse them, name it, and answer right', async () => {
    fleet = await Fleet.up(['--workers', '2', '--replicas', '1', '--fetch', 'always', '--allow-chaos']);
    const prefixes = await Prefixes.compute(fleet, 12, { seed: 10_000, worker: 'worker-1' });
    expect(await order('worker-1', 'corrupt', 30)).toMatchObject({ status: 200, body: { seconds: 30 } });
    await fleet.until(() => fleet!.log.includes('begins a fault by order'));
    const during = await fetched(prefixes);
    expect(during.asked).toBeGreaterThan(0);
    expect(during.tokens).toBe(0);
    expect(await prefixes.wrong('worker-2')).toBe(0);
    const refused = linesOf(fleet.log).filter(({ msg }) => msg?.includes('do not match its digest'));
    expect(refused.map(({ worker, peer }) => [worker, peer])).toContainEqual(['worker-2', 'worker-1']);
    await fleet.until(() => fleet!.log.includes('the fault is over'));
    const healed = await Prefixes.compute(fleet, 12, { seed: 20_000, worker: 'worker-1' });
    expect((await fetched(healed)).tokens).toBeGreaterThan(0);
    expect(await healed.wrong('worker-2')).toBe(0);
    expect((await fleet.workers()).map(({ quarantined }) => quarantined)).toEqual([null, null]);
  });

  it('is refused by a worker that was started without --allow-chaos', async () => {
    const nats = await plainNats((await findNatsServer()).path, []);
    const env = { SHOAL_SECRET: 'a secret that all members of the fleet know', SHOAL_NATS: nats.url };
    const plain = new JoinedWorker('plain', ['--threads', '1', '--sequences', '2', '--cache-bytes', '64MiB'], env);
    try {
      fleet = await Fleet.up(['--workers', '1', '--allow-chaos', '--nats', nats.url], env);
      await fleet.until((workers) => workers.some(({ id, state }) => id === 'plain' && state === 'serving'));
      const refused = { status: 409, body: { error: { message: expect.stringContaining('--allow-chaos') } } };
      expect(await order('plain', 'cut-off', 5)).toMatchObject(refused);
      expect(await order('plain', 'corrupt', 5)).toMatchObject(refused);
    } finally {
      await plain.stop();
      await fleet?.stop();
      fleet = null;
      await nats.stop('SIGKILL');
    }
  });
});

interface LogLine {
  readonly msg?: string;
  readonly worker?: string;
  readonly peer?: string;
}

function linesOf(log: string): LogLine[] {
  return log
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as LogLine);
}
