import { describe, expect, it } from 'vitest';
import { readFeedMessage } from '../../../console/feed/feed-message.js';
import {
  EMPTY_MODEL,
  FLOWS,
  type FleetModel,
  HAPPENINGS,
  REPLAY_MS,
  reduce,
  SNAPSHOTS,
  TRACES,
  workersAt,
} from '../../../console/feed/fleet-model.js';
import { happeningText } from '../../../console/parts/words.js';
import type { FeedMessage, FeedWorker, FleetMessage, Happening } from '../../../src/console/feed-messages.js';

const worker = (id: string, more: Partial<FeedWorker> = {}): FeedWorker => ({
  ...{ id, state: 'serving', device: 'cpu', quarantined: false, blocks: 0, bytes: 0, budget: 100 },
  ...{ running: 0, waiting: 0, hit_rate: 0, compute_ms_per_token: null },
  ...more,
});
const fleet = (more: Partial<FleetMessage>): FleetMessage => ({
  ...{ type: 'fleet', at: 1, whole: false, coordinators: 1, replicas: 2, nats: true, copies: { blocks: 0, below: 0 } },
  ...{ workers: [], gone: [] },
  ...more,
});
const hello: FeedMessage = {
  ...{ type: 'hello', at: 0, version: '1', model: 'm', role: 'user', routing: false, chaos: false },
  happened: [
    { at: 1, kind: 'joined', worker: 'a' },
    { at: 2, kind: 'dead', worker: 'a' },
  ],
};
const modelOf = (...messages: FeedMessage[]): FleetModel => messages.reduce(reduce, EMPTY_MODEL);

describe('the model of the fleet', () => {
  it('begins anew with each connection, but keeps the last minute for the replay', () => {
    const arrived = (id: number, at: number) => ({ step: 'arrived' as const, id, at, tokens: 7 });
    const ended = (id: number, at: number) => ({ step: 'ended' as const, id, at, tokens: 1, outcome: 'done' as const });
    const before = modelOf(
      hello,
      fleet({ at: 1_000, whole: true, workers: [worker('a'), worker('b')] }),
      { type: 'steps', skipped: 3, steps: [arrived(1, 1_500), ended(1, 2_000), arrived(2, 2_100)] },
      { type: 'flows', at: 2_200, flows: [{ from: 'a', to: 'b', fetched: 1, copied: 0 }] },
    );
    const again = reduce(before, { ...hello, at: 5_000 });
    expect([again.skipped, again.at, [...again.traces.keys()], again.flows.length]).toEqual([0, 5_000, [1], 1]);
    expect(again.happened.map(({ kind }) => kind)).toEqual(['dead', 'joined']);
    const now = reduce(again, fleet({ at: 5_001, whole: true, workers: [worker('a')] }));
    expect([workersAt(now, 2_000).length, workersAt(now, 6_000).length]).toEqual([2, 1]);
    // What was long ago, and what a clock that is ahead has told, does not stay.
    for (const at of [5_000 + 2 * REPLAY_MS, 900]) {
      const { traces, flows, snapshots } = reduce(before, { ...hello, at });
      expect([traces.size, flows.length, snapshots.length]).toEqual([0, 0, 0]);
    }
  });

  it('stays as it is when a newer coordinator tells what it does not know', () => {
    const model = modelOf(hello, fleet({ workers: [worker('a')] }));
    expect(reduce(model, { type: 'weather', at: 2 } as unknown as FeedMessage)).toBe(model);
    const step = { step: 'paused', id: 1, at: 2 };
    const { traces } = reduce(model, { type: 'steps', steps: [step], skipped: 0 } as unknown as FeedMessage);
    expect(traces.get(1)?.attempts ?? []).toEqual([]);
    const unknown = { at: 1, kind: 'renamed', worker: 'a' } as unknown as Happening;
    const fault = { at: 1, kind: 'disturbed', worker: 'a', fault: 'flood' } as unknown as Happening;
    expect([unknown, fault].map(happeningText)).toEqual(['a: renamed', 'an operator began a fault: flood']);
  });

  it('takes the error with which a coordinator ends the feed for no message', () => {
    const end = JSON.stringify({ error: { message: 'authorization: the API key was taken back' } });
    expect(() => readFeedMessage(end)).toThrow('authorization: the API key was taken back');
    expect(readFeedMessage('{"type":"beat","at":1}')).toEqual({ type: 'beat', at: 1 });
  });

  it('applies changes to what it knows, in the order of names and numbers', () => {
    const model = modelOf(
      fleet({ whole: true, workers: [worker('w10'), worker('w2'), worker('w1')] }),
      fleet({ workers: [worker('w2', { state: 'dead' })], gone: ['w1'] }),
    );
    expect([...model.workers.values()].map(({ id, state }) => `${id} ${state}`)).toEqual(['w2 dead', 'w10 serving']);
  });

  it('remembers the workers as they were, for the replay', () => {
    const model = modelOf(
      fleet({ at: 1_000, whole: true, workers: [worker('a')] }),
      fleet({ at: 2_000, workers: [worker('a', { state: 'suspect' })] }),
      fleet({ at: 3_000, workers: [worker('a', { state: 'dead' })] }),
    );
    const stateAt = (at: number) => workersAt(model, at)[0]?.state;
    expect([stateAt(1_500), stateAt(2_000), stateAt(2_999), stateAt(9_000)]).toEqual([
      'serving',
      'suspect',
      'suspect',
      'dead',
    ]);
  });

  it('knows the hottest segments, by what has changed', () => {
    const segment = (id: string, hits: number) => ({ id, hits, blocks: 8, homes: ['a'], holders: ['a'] });
    const model = modelOf(
      { type: 'segments', at: 1, whole: true, segments: [segment('s1', 1), segment('s2', 1)], gone: [] },
      { type: 'segments', at: 2, whole: false, segments: [segment('s2', 5), segment('s3', 2)], gone: ['s1'] },
    );
    expect([...model.segments.values()].map(({ id, hits }) => `${id} ${hits}`)).toEqual(['s2 5', 's3 2']);
  });

  it('keeps a bounded number of everything, however long the load lasts', () => {
    const workers = Array.from({ length: 8 }, (_, i) => worker(`w${i}`));
    let model = modelOf(hello, fleet({ at: 0, whole: true, workers }));
    for (let tick = 1; tick <= 650; tick++) {
      const at = 100 * tick;
      const ids = Array.from({ length: 7 }, (_, i) => 7 * tick + i);
      const flow = { from: 'w1', to: 'w2', fetched: 1, copied: 1 };
      const segment = { id: `s${tick}`, hits: 1, blocks: 8, homes: ['w1'], holders: ['w1'] };
      const messages: FeedMessage[] = [
        fleet({ at, workers: [worker(`w${tick % 8}`, { blocks: tick })] }),
        { type: 'steps', steps: ids.map((id) => ({ step: 'arrived', id, at, tokens: 1 })), skipped: 0 },
        { type: 'flows', at, flows: Array.from({ length: 8 }, () => flow) },
        { type: 'segments', at, whole: false, segments: [segment], gone: [`s${tick - 96}`] },
        { type: 'happened', happening: { at, kind: 'serving', worker: 'w1' } },
      ];
      model = messages.reduce(reduce, model);
    }
    const { traces, flows, segments, happened, snapshots } = model;
    expect([traces.size, flows.length, segments.size, happened.length, snapshots.length]).toEqual([
      TRACES,
      FLOWS,
      96,
      HAPPENINGS,
      SNAPSHOTS,
    ]);
    const late = reduce(model, { type: 'flows', at: model.at + 2 * REPLAY_MS, flows: [] });
    expect(late.flows).toEqual([]);
  });

  it('puts the steps of a request together, and forgets the oldest requests', () => {
    const arrived = (id: number): FeedMessage => ({
      ...{ type: 'steps', skipped: 0 },
      steps: [{ step: 'arrived', id, at: id, tokens: 7 }],
    });
    const ids = Array.from({ length: TRACES + 2 }, (_, i) => i + 1);
    const model = modelOf(...ids.map(arrived), {
      ...{ type: 'steps', skipped: 1 },
      steps: [{ step: 'ended', id: TRACES + 2, at: 99_999, tokens: 3, outcome: 'done' }],
    });
    expect([model.traces.size, model.traces.has(2), model.traces.has(3), model.skipped]).toEqual([
      TRACES,
      false,
      true,
      1,
    ]);
    expect(model.traces.get(TRACES + 2)).toMatchObject({ promptTokens: 7, ended: { tokens: 3 }, at: 99_999 });
  });
});
