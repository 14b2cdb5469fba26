import { describe, expect, it } from 'vitest';
import { ENDED_REQUESTS, RequestJournal, WATCHED_PER_SECOND } from '../../../../coordinator/console/request-journal.js';
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
  return { journal, steps, skipped, clock, used, slow };
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
    const { journal, steps, used } = watched();
    const request = journal.arrived('r', null, 70);
    journal.placed({ requestId: 'r', worker: 'w2', resumed: 0, candidates: ['w1', 'w2'].map(candidate) });
    const cached = { local: 64, remote: 0, computed: 6 };
    journal.started('r', 'w2', { type: 'start', cached, queueMs: 2 }, []);
    request.first();
    request.ended(5, 'done');
    expect(used).toEqual([[[], cached]]);
    expect(steps).toMatchObject([
      { step: 'arrived', id: 1, tokens: 70 },
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
    const { journal, steps, slow, clock } = watched();
    const found = (requestId: string) =>
      journal.found({
        worker: 'w2',
        found: [{ requestId, host: 1, disk: 2, from: [{ peer: 'w3', blocks: 4 }] }],
      });
    const request = journal.arrived('r', null, 70);
    found('r');
    request.ended(5, 'done');
    found('r');
    found('of another coordinator');
    const step = { step: 'found', id: 1, worker: 'w2', host: 1, disk: 2, from: [{ worker: 'w3', blocks: 4 }] };
    expect(steps).toMatchObject([{ step: 'arrived' }, step, { step: 'ended' }, step]);
    expect(slow.list(clock.now(), () => true)[0]).toMatchObject([{ step: 'arrived' }, step, { step: 'ended' }, step]);
    for (let i = 0; i < ENDED_REQUESTS; i++) journal.arrived(`later ${i}`, null, 1).ended(1, 'done');
    const told = steps.length;
    found('r');
    expect(steps).toHaveLength(told);
  });

  it('says nothing of a request that it does not follow', () => {
    const { journal, steps } = watched();
    journal.placed({ requestId: 'unknown', worker: 'w', resumed: 0, candidates: [] });
    const ended = journal.arrived('r', null, 1);
    ended.ended(0, 'failed');
    journal.placed({ requestId: 'r', worker: 'w', resumed: 0, candidates: [] });
    expect(steps.map(({ step }) => step)).toEqual(['arrived', 'ended']);
  });

  it('follows a bounded number a second, and says how many it skips', async () => {
    const { journal, steps, skipped, clock } = watched();
    for (let i = 0; i < WATCHED_PER_SECOND + 7; i++) journal.arrived(`r${i}`, 'acme', 1);
    expect([steps.length, skipped.length]).toEqual([WATCHED_PER_SECOND, 7]);
    await clock.advance(100);
    for (let i = 0; i < WATCHED_PER_SECOND; i++) journal.arrived(`s${i}`, null, 1);
    expect(steps.length).toBe(WATCHED_PER_SECOND * 1.1);
  });
});
