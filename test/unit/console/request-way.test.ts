import { describe, expect, it } from 'vitest';
import { type RequestTrace, withStep } from '../../../console/feed/request-trace.js';
import { newestOf, wayOf } from '../../../console/ring/request-way.js';
import type { PlacedStep, RequestStep } from '../../../src/console/feed-messages.js';

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
const texts = (of: RequestTrace) => wayOf(of).map(({ title, text }) => `${title}: ${text}`);

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
      'Placed: On w2. Estimated cost 12 ms: it has 1 block, would fetch 2, would compute 40 tokens. The next best, w1, would have cost 31 ms.',
      'Found: 64 tokens in the memory of w2.',
      'Fetched: 128 tokens from w3, or from another of 2 workers that had them.',
      'Computed: 40 tokens in 20 ms.',
      'Streamed: First token after 30 ms; 8 tokens within 60 ms more.',
    ]);
  });

  it('has the worker’s own account of tiers and sources, when that has come', () => {
    const steps: RequestStep[] = [
      placed(),
      { step: 'started', id: 1, at: 10, worker: 'w2', cached: { local: 192, remote: 256, computed: 40 }, queue_ms: 1 },
    ];
    const from = [
      { worker: 'w7', blocks: 3 },
      { worker: 'w8', blocks: 1 },
    ];
    const found = (worker: string): RequestStep => ({ step: 'found', id: 1, at: 99, worker, host: 1, disk: 2, from });
    const told = trace(...steps, found('w2'));
    expect(texts(told).slice(1, 3)).toEqual([
      'Found: 192 tokens in the memory of w2, 1 block of them in host memory, 2 blocks of them on its disk.',
      'Fetched: 256 tokens from w7 (3 blocks), w8 (1 block).',
    ]);
    expect(told.at).toBe(10);
    // Of a worker that was lost meanwhile.
    expect(texts(trace(...steps, found('w1')))[2]).toContain('from w3, or from another');
  });

  it('tells of a move, of a prompt that nobody knew, and of a failure', () => {
    const moved = placed({ worker: 'w1', resumed: 3, sources: [], candidates: [] });
    expect(texts(trace(placed(), moved)).at(-1)).toBe(
      'Placed: On w1, after 3 tokens of the answer from a worker that was lost.',
    );
    const cached = { local: 0, remote: 0, computed: 9 };
    const failed = trace(
      moved,
      { step: 'started', id: 1, at: 10, worker: 'w1', cached, queue_ms: 0 },
      { step: 'ended', id: 1, at: 12, tokens: 0, outcome: 'failed' },
    );
    expect(wayOf(failed).map(({ title }) => title)).toEqual(['Placed', 'Not found', 'Computed', 'Failed']);
    expect(texts(failed)[1]).toBe('Not found: No worker had a block of this prompt.');
    const given = trace(placed(), { step: 'started', id: 1, at: 10, worker: 'w2', cached, queue_ms: 0 });
    expect(texts(given)[1]).toMatch(/^Not found: 3 blocks could have been had, but computing was faster/);
    // A request may name its worker: then another one may have been cheaper.
    expect(texts(trace(placed({ worker: 'w1' })))[0]).toContain('w2 would have cost 12 ms, but');
  });

  it('is shown of the newest request of a worker, or of all', () => {
    const traces = new Map([
      [1, trace(placed())],
      [2, trace({ ...placed({ worker: 'w1' }), id: 2 })],
      [3, trace({ step: 'arrived', id: 3, at: 5, tokens: 1 })],
    ]);
    expect([newestOf(traces, null)?.id, newestOf(traces, 'w2')?.id, newestOf(traces, 'w9')?.id]).toEqual([
      2,
      1,
      undefined,
    ]);
  });
});
