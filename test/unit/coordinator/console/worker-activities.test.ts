import { describe, expect, it } from 'vitest';
import { Flows, TOLD_FLOWS } from '../../../../coordinator/console/flows.js';
import {
  type ActivityNews,
  ASKED_AT_ONCE,
  WorkerActivities,
} from '../../../../coordinator/console/worker-activities.js';
import { settled } from '../../../../src/clock.js';
import type { Member } from '../../../../src/core/member.js';
import { Refused, Unavailable } from '../../../../src/errors.js';
import type { WorkerActivity } from '../../../../src/protocol/activity.js';
import { member } from '../support/scripted-fleet.js';

const activity = (fetched: number, pushed = 0): WorkerActivity => ({
  received: [{ peer: 'w9', fetched, pushed }],
  ...{ evicted: 10 * fetched, damaged: 0, audits: { right: fetched, wrong: 0, skipped: 5 } },
  ...{ seq: fetched, found: [{ requestId: `r${fetched}`, host: 1, disk: 0, from: [] }] },
});

class Scene {
  members: Member[] = [member('w1')];
  answer: (worker: Member, since: number) => Promise<WorkerActivity> = async () => activity(0);
  readonly asked: string[] = [];
  /** Of the last question. */
  since = 0;
  readonly news: ActivityNews[] = [];
  private readonly activities = new WorkerActivities({
    members: () => this.members,
    ask: (worker, since) => {
      this.asked.push(worker.id);
      this.since = since;
      return this.answer(worker, since);
    },
  });

  async round(): Promise<void> {
    this.activities.round((news) => this.news.push(news));
    await settled();
  }
}

describe('the activities of workers', () => {
  it('tell what is new since the answer before', async () => {
    const scene = new Scene();
    scene.answer = async () => activity(2);
    await scene.round();
    expect(scene.news).toEqual([]);
    scene.answer = async () => activity(5, 1);
    await scene.round();
    expect(scene.since).toBe(2);
    // Blocks of this worker have 10 bytes.
    expect(scene.news).toEqual([
      {
        ...{ worker: 'w1', received: [{ peer: 'w9', fetched: 3, pushed: 1 }], fetchedBytes: 30, copiedBytes: 10 },
        ...{ evicted: 30, damaged: 0, right: 3, wrong: 0 },
        found: [{ requestId: 'r5', host: 1, disk: 0, from: [] }],
      },
    ]);
  });

  it('count from zero for a new process of a worker that was known, also after its death', async () => {
    const scene = new Scene();
    scene.answer = async () => activity(7);
    await scene.round();
    scene.members = [{ ...member('w1'), state: 'dead' }];
    await scene.round();
    scene.members = [{ ...member('w1'), incarnation: 'w1-2' }];
    scene.answer = async () => activity(2);
    await scene.round();
    expect(scene.news).toMatchObject([{ fetchedBytes: 20 }]);
    expect(scene.since).toBe(0);
    expect(scene.asked).toHaveLength(2);
  });

  it('ask all workers in turns, a bounded number at a time', async () => {
    const scene = new Scene();
    scene.members = Array.from({ length: ASKED_AT_ONCE + 5 }, (_, i) => member(`w${i}`));
    await scene.round();
    expect(scene.asked).toHaveLength(ASKED_AT_ONCE);
    await scene.round();
    expect(new Set(scene.asked).size).toBe(ASKED_AT_ONCE + 5);
  });

  it('ask again a worker that was not reached, and never one that does not know the question', async () => {
    const scene = new Scene();
    scene.members = [member('old'), member('slow')];
    scene.answer = ({ id }) => Promise.reject(id === 'old' ? new Refused('no such method') : new Unavailable('away'));
    await scene.round();
    await scene.round();
    expect(scene.asked).toEqual(['old', 'slow', 'slow']);
    scene.members = [{ ...member('old'), incarnation: 'old-2' }];
    await scene.round();
    expect(scene.asked.at(-1)).toBe('old');
  });
});

describe('the flows of blocks', () => {
  it('add up until they are taken', () => {
    const flows = new Flows();
    flows.add({ worker: 'b', received: [{ peer: 'a', fetched: 1, pushed: 2 }] });
    flows.add({ worker: 'b', received: [{ peer: 'a', fetched: 3, pushed: 0 }] });
    expect(flows.take()).toEqual([{ from: 'a', to: 'b', fetched: 4, copied: 2 }]);
    expect(flows.take()).toEqual([]);
  });

  it('are told in a bounded number, the largest ones', () => {
    const flows = new Flows();
    const received = Array.from({ length: TOLD_FLOWS + 3 }, (_, i) => ({ peer: `p${i}`, fetched: i, pushed: 0 }));
    flows.add({ worker: 'b', received });
    const told = flows.take();
    expect(told).toHaveLength(TOLD_FLOWS);
    expect(told.some(({ from }) => ['p0', 'p1', 'p2'].includes(from))).toBe(false);
  });
});
