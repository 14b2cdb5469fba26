import { describe, expect, it } from 'vitest';
import {
  ENDED_REQUESTS,
  RequestJournal,
  RUNNING_TOLD,
  WATCHED_PER_SECOND,
} from '../../../../coordinator/console/request-journal.js';
import { SlowRequests } from '../../../../coordinator/console/slow-requests.js';
import { SimulatedClock } from '../../../../src/clock.js';
import type { RequestStep } from '../../../../src/console/feed-messages.js';
import type { Candidate } from '../../../../src/core/placement.js';
import { counter } from '../support/counter.js';

function watched(clock = new SimulatedClock()) {
  const used: unknown[] = [];
  const heat = { used: (...use: unknown[]) => used.push(use) };
  const slow = new SlowRequests();
  const journal = new RequestJournal(clock, slow, heat, counter());
  const steps: RequestStep[] = [];
  const skipped: (string | null)[] = [];
  journal.watch({ step: ({ step }) => steps.push(step), skipped: (tenant) => skipped.push(tenant) });
  const arrive = (requestId: string, tenant: string | null = null, promptTokens = 1) =>
    journal.arrived({ requestId, clientId: `of ${requestId}`, tenant, promptTokens, arrivedMs: clock.now() });
  return { journal, arrive, steps, skipped, clock, used, slow };
}

const candidate = (worker: string): Candidate => ({
  worker,
  incarnation: '1',
  costMs: 12.345,
  adapterMs: 0,
  localBlocks: 1,
  remoteBlocks: 2,
  computeTokens: 3,
  sources: [{ worker: 'w9', blocks: 2 }],
  awaits: null,
});

describe('the journal of requests', () => {
  it('tells the way of a request in order', () => {
    const { journal, arrive, steps, used } = watched();
    const request = arrive('r', null, 70);
    journal.placed({ requestId: 'r', worker: 'w2', resumed: 0, candidates: ['w1', 'w2'].map(candidate) });
    const cached = { local: 64, remote: 0, computed: 6 };
    journal.started('r', 'w2', { type: 'start', cached, queueMs: 2 }, []);
    request.generated();
    request.generated();
    request.ended(5, 'done');
    expect(used).toEqual([[[], cached]]);
    expect(steps).toMatchObject([
      { step: 'arrived', id: 1, tokens: 70, request: 'of r' },
      {
        step: 'placed',
        id: 1,
        worker: 'w2',
        candidates: [{ worker: 'w1', cost_ms: 12.3, local: 1, remote: 2, compute: 3 }, { worker: 'w2' }],
        sources: ['w9'],
      },
      { step: 'started', id: 1, worker: 'w2', cached, queue_ms: 2 },
      { step: 'first', id: 1 },
      { step: 'ended', id: 1, tokens: 5, outcome: 'done' },
    ]);
  });

  it('tells what a worker found for a request, also after its end, and keeps it with the slowest', () => {
    const { journal, arrive, steps, slow, clock } = watched();
    const found = (requestId: string) =>
      journal.found({
        worker: 'w2',
        found: [{ requestId, host: 1, disk: 2, from: [{ peer: 'w3', blocks: 4, pushed: 1 }] }],
      });
    const request = arrive('r', null, 70);
    found('r');
    request.ended(5, 'done');
    found('r');
    found('of another coordinator');
    const step = {
      step: 'found',
      id: 1,
      worker: 'w2',
      host: 1,
      disk: 2,
      from: [{ worker: 'w3', blocks: 4, copied: 1 }],
    };
    expect(steps).toMatchObject([{ step: 'arrived' }, step, { step: 'ended' }, step]);
    expect(slow.list(clock.now(), () => true)[0]).toMatchObject([{ step: 'arrived' }, step, { step: 'ended' }, step]);
    for (let i = 0; i < ENDED_REQUESTS; i++) arrive(`later ${i}`).ended(1, 'done');
    const told = steps.length;
    found('r');
    expect(steps).toHaveLength(told);
  });

  it('tells of the first token of each worker that continues an answer', async () => {
    const { journal, arrive, steps, clock } = watched();
    const request = arrive('r');
    const cached = { local: 0, remote: 0, computed: 6 };
    for (const worker of ['w1', 'w2']) {
      journal.started('r', worker, { type: 'start', cached, queueMs: 2 }, []);
      await clock.advance(5);
      request.generated();
      request.generated();
    }
    expect(steps.slice(1).map(({ step, at }) => [step, at - steps[0]!.at])).toEqual([
      ['started', 0],
      ['first', 5],
      ['started', 5],
      ['first', 10],
    ]);
  });

  it('gives the steps so far of the latest requests that run, and reports them from then on', () => {
    const { journal, arrive, steps } = watched();
    journal.watch(null);
    const requests = Array.from({ length: RUNNING_TOLD + 2 }, (_, i) => arrive(`r${i}`, 'acme'));
    requests.at(-1)!.ended(1, 'done');
    expect([steps.length, journal.running()]).toEqual([0, []]);
    journal.watch({ step: ({ step }) => steps.push(step), skipped: () => {} });
    const running = journal.running();
    expect(running).toHaveLength(RUNNING_TOLD);
    expect(running[0]).toMatchObject({ tenant: 'acme', step: { step: 'arrived', id: 2 } });
    for (const each of requests.slice(0, 2)) each.generated();
    expect(steps).toMatchObject([{ step: 'first', id: 2 }]);
  });

  it('says nothing of a request that it does not follow', () => {
    const { journal, arrive, steps } = watched();
    journal.placed({ requestId: 'unknown', worker: 'w', resumed: 0, candidates: [] });
    const ended = arrive('r');
    ended.ended(0, 'failed');
    journal.placed({ requestId: 'r', worker: 'w', resumed: 0, candidates: [] });
    expect(steps.map(({ step }) => step)).toEqual(['arrived', 'ended']);
  });

  it('follows a bounded number a second, and says how many it skips', async () => {
    const { arrive, steps, skipped, clock } = watched();
    for (let i = 0; i < WATCHED_PER_SECOND + 7; i++) arrive(`r${i}`, 'acme');
    expect([steps.length, skipped.length]).toEqual([WATCHED_PER_SECOND, 7]);
    await clock.advance(100);
    for (let i = 0; i < WATCHED_PER_SECOND; i++) arrive(`s${i}`);
    expect(steps.length).toBe(WATCHED_PER_SECOND * 1.1);
  });
});
