import { describe, expect, it } from 'vitest';
import { type RequestTrace, withStep } from '../../../console/feed/request-trace.js';
import { movesOf } from '../../../console/parts/moves.js';
import { fetchedFrom } from '../../../console/parts/words.js';
import { wayOf } from '../../../console/ring/request-way.js';
import { nextShown, READING_MS } from '../../../console/ring/shown-request.js';
import type { Happening, PlacedStep, RequestStep } from '../../../src/console/feed-messages.js';

const trace = (...steps: RequestStep[]): RequestTrace =>
  steps.reduce<RequestTrace | undefined>((known, step) => withStep(known, step), undefined)!;
const candidate = (worker: string, cost_ms: number, local: number, remote: number, compute: number) => ({
  ...{ worker, cost_ms, local, remote, compute },
});
const placed = (more: Partial<PlacedStep> = {}): PlacedStep => ({
  ...{ step: 'placed', id: 1, at: 1, worker: 'w2', resumed: 0, sources: ['w3', 'w1'] },
  candidates: [candidate('w2', 12.3, 1, 2, 40), candidate('w1', 31, 0, 0, 300)],
  ...more,
});
const texts = (of: RequestTrace, happened: readonly Happening[] = []) =>
  wayOf(of, happened).map(({ title, text }) => `${title}: ${text}`);

describe('the way of a request', () => {
  it('says why it was placed, what was found and fetched from whom, computed and streamed', () => {
    const whole = trace(
      { step: 'arrived', id: 1, at: 0, tokens: 232 },
      placed(),
      { step: 'started', id: 1, at: 10, worker: 'w2', cached: { local: 64, remote: 128, computed: 40 }, queue_ms: 1 },
      { step: 'first', id: 1, at: 30 },
      { step: 'ended', id: 1, at: 90, tokens: 8, outcome: 'done' },
    );
    expect(texts(whole)).toEqual([
      'Placed: On w2. Estimated cost 12 ms: it has 1 block, and would fetch 2 blocks and compute 40 tokens. The next best, w1, would have cost 31 ms.',
      'Found: 64 tokens in the memory of w2.',
      'Received: 128 tokens from another worker.',
      'Computed: 40 tokens in 20 ms.',
      'Streamed: First token after 30 ms; 8 tokens within 60 ms.',
    ]);
  });

  it('has the worker’s own account of tiers and sources, when that has come', () => {
    const steps: RequestStep[] = [
      placed(),
      { step: 'started', id: 1, at: 10, worker: 'w2', cached: { local: 192, remote: 256, computed: 40 }, queue_ms: 1 },
    ];
    const from = [
      { worker: 'w7', blocks: 3, copied: 0 },
      { worker: 'w8', blocks: 1, copied: 0 },
    ];
    const found = (worker: string): RequestStep => ({ step: 'found', id: 1, at: 99, worker, host: 1, disk: 2, from });
    const told = trace(...steps, found('w2'));
    expect(texts(told).slice(1, 3)).toEqual([
      'Found: 192 tokens in the memory of w2, 1 block of them in host memory, 2 blocks of them on its disk.',
      'Fetched: 256 tokens from w7 (3 blocks), w8 (1 block).',
    ]);
    expect(told.at).toBe(10);
    // Of a worker that was lost meanwhile.
    expect(texts(trace(...steps, found('w1')))[2]).toBe('Received: 256 tokens from another worker.');
  });

  it('tells of a prompt that nobody knew, and of a failure', () => {
    const cached = { local: 0, remote: 0, computed: 9 };
    const failed = trace(
      placed({ worker: 'w1', candidates: [candidate('w1', 1, 0, 0, 9)] }),
      { step: 'started', id: 1, at: 10, worker: 'w1', cached, queue_ms: 0 },
      { step: 'ended', id: 1, at: 12, tokens: 0, outcome: 'failed' },
    );
    expect(wayOf(failed, []).map(({ title }) => title)).toEqual(['Placed', 'Not found', 'Computed', 'Failed']);
    expect(texts(failed)[1]).toBe('Not found: No worker had a block of this prompt.');
    const given = trace(placed(), { step: 'started', id: 1, at: 10, worker: 'w2', cached, queue_ms: 0 });
    expect(texts(given)[1]).toMatch(/^Not found: 3 blocks could have been had, but computing was faster/);
    // A request may name its worker: then another one may have been cheaper.
    expect(texts(trace(placed({ worker: 'w1' })))[0]).toContain('w2 would have cost 12 ms, but');
  });

  it('tells copies that came before apart from blocks that were fetched', () => {
    const cached = { local: 0, remote: 192, computed: 40 };
    const of = (...from: { worker: string; blocks: number; copied: number }[]) =>
      trace(
        placed(),
        { step: 'started', id: 1, at: 10, worker: 'w2', cached, queue_ms: 1 },
        { step: 'found', id: 1, at: 99, worker: 'w2', host: 0, disk: 0, from },
      );
    const copies = of({ worker: 'w1', blocks: 3, copied: 3 });
    expect(texts(copies)[1]).toBe('Had copies: 192 tokens, which w1 had sent before.');
    expect(fetchedFrom(copies.attempts[0]!)).toBeNull();
    const mixed = of({ worker: 'w3', blocks: 2, copied: 0 }, { worker: 'w1', blocks: 1, copied: 1 });
    expect(texts(mixed)[1]).toBe(
      'Received: 192 tokens: 2 blocks fetched from w3, 1 block that w1 had sent before as copies.',
    );
    expect(fetchedFrom(mixed.attempts[0]!)).toBe('w3');
  });

  const resumed = () =>
    trace(
      { step: 'arrived', id: 1, at: 0, tokens: 232 },
      placed(),
      { step: 'started', id: 1, at: 10, worker: 'w2', cached: { local: 192, remote: 0, computed: 40 }, queue_ms: 1 },
      { step: 'first', id: 1, at: 30 },
      placed({ at: 11_000, worker: 'w1', resumed: 100, candidates: [] }),
      {
        step: 'started',
        id: 1,
        at: 11_010,
        worker: 'w1',
        cached: { local: 320, remote: 0, computed: 12 },
        queue_ms: 0,
      },
      { step: 'first', id: 1, at: 11_040 },
      { step: 'ended', id: 1, at: 12_000, tokens: 150, outcome: 'done' },
    );
  const happened = (...kinds: [Happening['kind'], number][]): Happening[] =>
    kinds.map(([kind, at]) => ({ kind, at, worker: 'w2' })).toReversed();

  it('has the times of each worker, and says who died and who continued', () => {
    expect(texts(resumed(), happened(['dead', 11_001], ['restarted', 13_000])).slice(1)).toEqual([
      'Found: 192 tokens in the memory of w2.',
      'Computed: 40 tokens in 20 ms.',
      'Streamed: First token after 30 ms; 100 tokens.',
      'Died: w2 died after 100 tokens of the answer; w1 continues from there.',
      'Placed: On w1.',
      'Found: 320 tokens in the memory of w1.',
      'Computed: 12 tokens in 30 ms. In all: 232 tokens of the prompt and 100 tokens of the answer.',
      'Streamed: 50 tokens more within 960 ms, 150 tokens in all.',
    ]);
  });

  it('calls a worker dead only if it did not come back in the same process', () => {
    const moves = (...kinds: [Happening['kind'], number][]) => movesOf(resumed(), happened(...kinds));
    expect(moves(['dead', 11_001])).toEqual(['w2 died after 100 tokens of the answer; w1 continued']);
    expect(moves(['dead', 11_001], ['back', 12_000])[0]).toMatch(/^w2 was lost after/);
    // An earlier death is another story.
    expect(moves(['dead', 5])[0]).toMatch(/^w2 was lost after/);
    const refused = trace(placed(), placed({ worker: 'w1' }));
    expect(movesOf(refused, [])).toEqual(['w2 did not begin; w1 took over']);
  });

  it('says no time that the page has not seen, and nothing goes on after the end', () => {
    const late = trace(
      placed({ at: 11_000, worker: 'w1', resumed: 100, candidates: [] }),
      {
        step: 'started',
        id: 1,
        at: 11_010,
        worker: 'w1',
        cached: { local: 320, remote: 0, computed: 13 },
        queue_ms: 0,
      },
      { step: 'ended', id: 1, at: 12_000, tokens: 150, outcome: 'done' },
    );
    expect(texts(late)).toEqual([
      'Placed: On w1.',
      'Found: 320 tokens in the memory of w1.',
      'Computed: 13 tokens. In all: the prompt and 100 tokens of the answer.',
      'Streamed: 50 tokens more, 150 tokens in all.',
    ]);
  });
});

describe('the request that the card shows', () => {
  const ended: RequestStep = { step: 'ended', id: 1, at: 100, tokens: 1, outcome: 'done' };
  const traces = new Map([
    [1, trace(placed(), ended)],
    [2, trace({ step: 'arrived', id: 2, at: 5, tokens: 1, request: 'mine' }, { ...placed({ worker: 'w1' }), id: 2 })],
    [3, trace({ ...placed({ worker: 'w1' }), id: 3 })],
    [4, trace({ step: 'arrived', id: 4, at: 5, tokens: 1 })],
  ]);
  const wanted = { worker: null, asked: null, held: false, now: 200 };
  const shown = { id: 1, worker: null, sinceMs: 0, asked: null };

  it('is the newest of a worker or of all, once the one before has been read', () => {
    expect(nextShown(null, traces, wanted)?.id).toBe(3);
    expect(nextShown(null, traces, { ...wanted, worker: 'w2' })?.id).toBe(1);
    expect(nextShown(null, traces, { ...wanted, worker: 'w9' })).toBeNull();
    expect(nextShown(shown, traces, wanted)).toBe(shown);
    expect(nextShown(shown, traces, { ...wanted, now: 100 + READING_MS })?.id).toBe(3);
  });

  it('is the reader’s own request at once, unless the reader holds another', () => {
    const own = nextShown(shown, traces, { ...wanted, asked: 'mine' });
    expect(own).toMatchObject({ id: 2, asked: 'mine', sinceMs: 200 });
    expect(nextShown(own, traces, { ...wanted, asked: 'mine' })).toBe(own);
    expect(nextShown(shown, traces, { ...wanted, asked: 'mine', held: true })).toBe(shown);
    expect(nextShown(shown, traces, { ...wanted, asked: 'not placed yet' })).toBe(shown);
  });
});
