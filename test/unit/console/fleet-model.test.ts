import { describe, expect, it } from 'vitest';
import { EMPTY_MODEL, type FleetModel, reduce, TRACES, workersAt } from '../../../console/feed/fleet-model.js';
import type { FeedMessage, FeedWorker, FleetMessage } from '../../../src/console/feed-messages.js';

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
  it('begins anew with each connection', () => {
    const model = modelOf(hello, fleet({ workers: [worker('a')] }), { type: 'steps', steps: [], skipped: 3 }, hello);
    expect([model.workers.size, model.skipped]).toEqual([0, 0]);
    expect(model.happened.map(({ kind }) => kind)).toEqual(['dead', 'joined']);
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
