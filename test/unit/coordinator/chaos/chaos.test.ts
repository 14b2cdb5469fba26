import { hostname } from 'node:os';
import { describe, expect, it } from 'vitest';
import { Chaos, type ChaosOptions } from '../../../../coordinator/chaos/chaos.js';
import { Refused } from '../../../../src/errors.js';
import { member } from '../support/scripted-fleet.js';
import { testServer } from '../support/test-server.js';

/** Chaos whose faults are written down. */
function noted({ natsPid = 77, ...faults }: { natsPid?: number | null } & Partial<ChaosOptions['faults']> = {}) {
  const notes: string[] = [];
  const options: ChaosOptions = {
    poison: { killed: (id) => notes.push(`excused ${id}`) },
    faults: {
      kill: (pid) => notes.push(`kill ${pid}`),
      pause: (pid, seconds) => notes.push(`pause ${pid} ${seconds}`),
      slow: (pid, seconds) => notes.push(`slow ${pid} ${seconds}`),
      ...faults,
    },
    order: async ({ id }, fault, seconds) => void notes.push(`order ${fault} ${id} ${seconds}`),
    natsPid: async () => natsPid,
  };
  return { chaos: new Chaos(options), notes };
}

const here = { ...member('w1'), host: hostname() };

describe('chaos', () => {
  it('disturbs workers of this machine, and blames no prompt for what comes of it', async () => {
    const { chaos, notes } = noted();
    chaos.kill(here);
    chaos.disturb('pause', here, 5);
    chaos.disturb('slow', here, 9);
    await chaos.stopNats(2);
    await chaos.order('cut-off', member('far'), 3);
    await chaos.order('corrupt', member('far'), 4);
    const { pid } = here;
    expect(notes).toEqual([
      ...[`kill ${pid}`, 'excused w1'],
      ...[`pause ${pid} 5`, 'excused w1'],
      ...[`slow ${pid} 9`, 'excused w1'],
      'pause 77 2',
      ...['order cut-off far 3', 'excused far'],
      'order corrupt far 4',
    ]);
  });

  it('excuses no worker to which nothing was done', () => {
    const { chaos, notes } = noted({
      pause: () => {
        throw new Refused('it is gone');
      },
    });
    expect(() => chaos.disturb('pause', here, 5)).toThrow('it is gone');
    expect(notes).toEqual([]);
  });

  it('leaves other machines alone, processes that no worker names, and a server for NATS that it does not find', async () => {
    const { chaos, notes } = noted({ natsPid: null });
    for (const worker of [member('w1'), { ...here, pid: 0 }, { ...here, pid: 1 }, { ...here, pid: -1 }]) {
      expect(() => chaos.kill(worker)).toThrow(Refused);
      expect(() => chaos.disturb('pause', worker, 5)).toThrow(Refused);
    }
    await expect(chaos.stopNats(2)).rejects.toThrow(Refused);
    expect(notes).toEqual([]);
  });
});

describe('the routes of chaos', () => {
  it('disturb living workers, for as many seconds as is allowed', async () => {
    const { chaos, notes } = noted();
    const { post, fleet } = await testServer({ chaos });
    fleet.workers = [here, { ...here, id: 'w2', state: 'dead' }];
    const status = async (path: string, body: object) => (await post(`/v1/fleet/${path}`, body)).status;
    expect(await status('workers/w1/kill', {})).toBe(200);
    expect(await status('workers/w1/pause', { seconds: 5 })).toBe(200);
    expect(await status('workers/w1/slow', { seconds: 60 })).toBe(200);
    expect(await status('workers/w1/cut-off', { seconds: 5 })).toBe(200);
    expect(await status('workers/w1/corrupt', { seconds: 5 })).toBe(200);
    expect(await status('nats/stop', { seconds: 1 })).toBe(200);
    expect(notes.filter((note) => !note.startsWith('excused'))).toHaveLength(6);
    for (const seconds of [0, 61, 1.5, '5', undefined]) {
      expect([seconds, await status('workers/w1/pause', { seconds })]).toEqual([seconds, 400]);
      expect([seconds, await status('workers/w1/cut-off', { seconds })]).toEqual([seconds, 400]);
      expect([seconds, await status('nats/stop', { seconds })]).toEqual([seconds, 400]);
    }
    for (const fault of ['kill', 'pause', 'slow', 'cut-off', 'corrupt']) {
      expect(await status(`workers/w2/${fault}`, { seconds: 5 })).toBe(404);
      expect(await status(`workers/w9/${fault}`, { seconds: 5 })).toBe(404);
    }
    expect(notes.filter((note) => !note.startsWith('excused'))).toHaveLength(6);
  });

  it('are a 403 by default', async () => {
    const { post } = await testServer();
    for (const path of [
      ...['kill', 'pause', 'slow', 'cut-off', 'corrupt'].map((fault) => `workers/w1/${fault}`),
      'nats/stop',
    ]) {
      const answer = await post(`/v1/fleet/${path}`, { seconds: 5 });
      expect([answer.status, await answer.json()]).toMatchObject([403, { error: { code: 'chaos_not_allowed' } }]);
    }
  });
});
