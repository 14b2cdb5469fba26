import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coldCost, coldSentence, rateFor } from '../../../console/chat/cold-cost.js';
import { splitAt } from '../../../console/chat/prompt-colours.js';
import { curlSnippet, sdkSnippet } from '../../../console/chat/snippets.js';
import { EMPTY_MODEL, type FleetModel } from '../../../console/feed/fleet-model.js';
import { firstTokenMs, promptAttempt, type RequestTrace, withStep } from '../../../console/feed/request-trace.js';
import { SseReader } from '../../../console/feed/sse-reader.js';
import { hitShares, joined, perMinute, stacked } from '../../../console/metrics/series.js';
import { LEAST_SECONDS, stepped } from '../../../console/metrics/time-range.js';
import { byteText, sourceSentence, timeText } from '../../../console/parts/words.js';
import { durationMs, phasesOf, shownRequests } from '../../../console/requests/waterfall.js';
import { fleetSentence } from '../../../console/ring/fleet-sentence.js';
import type { FeedWorker, HistoryAnswer, RequestStep } from '../../../src/console/feed-messages.js';

const trace = (...steps: RequestStep[]): RequestTrace =>
  steps.reduce<RequestTrace | undefined>((known, step) => withStep(known, step), undefined)!;
const request = (id: number, at: number, endsAt: number | null, worker = 'w1'): RequestTrace =>
  trace(
    { step: 'arrived', id, at, tokens: 9 },
    { step: 'placed', id, at: at + 1, worker, resumed: 0, candidates: [], sources: [] },
    { step: 'started', id, at: at + 3, worker, cached: { local: 0, remote: 0, computed: 9 }, queue_ms: 0 },
    ...(endsAt === null
      ? []
      : ([
          { step: 'first', id, at: at + 6 },
          { step: 'ended', id, at: endsAt, tokens: 2, outcome: 'done' },
        ] as const)),
  );

describe('the reader of events', () => {
  it('gives each event once, however the text is cut', () => {
    const events = fc.array(fc.stringMatching(/^[^\r\n]{0,12}$/), { maxLength: 8 });
    fc.assert(
      fc.property(events, fc.array(fc.nat(40)), (data, cuts) => {
        const text = data.map((each) => `data: ${each}\n\n`).join('');
        const ends = [...cuts.filter((cut) => cut < text.length).toSorted((a, b) => a - b), text.length];
        const reader = new SseReader();
        let from = 0;
        const read = ends.flatMap((end) => {
          const piece = text.slice(from, end);
          from = Math.max(from, end);
          return reader.push(piece);
        });
        expect(read).toEqual(data);
      }),
    );
  });
});

describe('the waterfall', () => {
  it('has the phases one after another, from the arrival to the end', () => {
    expect(phasesOf(request(1, 100, 110), 999)).toEqual([
      { kind: 'waited', worker: null, from: 0, to: 1 },
      { kind: 'fetched', worker: 'w1', from: 1, to: 3 },
      { kind: 'computed', worker: 'w1', from: 3, to: 6 },
      { kind: 'streamed', worker: 'w1', from: 6, to: 10 },
    ]);
    const running = phasesOf(request(1, 100, null), 150);
    expect(running.at(-1)).toEqual({ kind: 'computed', worker: 'w1', from: 3, to: 50 });
  });

  it('has the phases of each worker of a request that moved, and the source of the client’s prompt alone', () => {
    const cached = { local: 64, remote: 0, computed: 1 };
    const moved = [
      { step: 'placed', id: 1, at: 120, worker: 'w2', resumed: 2, candidates: [], sources: [] },
      { step: 'started', id: 1, at: 121, worker: 'w2', cached, queue_ms: 0 },
      { step: 'first', id: 1, at: 125 },
      { step: 'ended', id: 1, at: 130, tokens: 9, outcome: 'done' },
    ] as const;
    const whole = moved.reduce<RequestTrace>(
      withStep,
      withStep(request(1, 100, null), { step: 'first', id: 1, at: 106 }),
    );
    expect(phasesOf(whole, 999).map(({ kind, worker, from, to }) => [kind, worker, from, to])).toEqual([
      ['waited', null, 0, 1],
      ['fetched', 'w1', 1, 3],
      ['computed', 'w1', 3, 6],
      ['streamed', 'w1', 6, 20],
      ['fetched', 'w2', 20, 21],
      ['computed', 'w2', 21, 25],
      ['streamed', 'w2', 25, 30],
    ]);
    expect(promptAttempt(whole)?.started?.cached).toEqual({ local: 0, remote: 0, computed: 9 });
    expect(firstTokenMs(whole)).toBe(6);
    // Of a page that saw the end alone.
    expect(promptAttempt(trace(...moved))).toBeUndefined();
  });

  it('shows the newest or the slowest, of one worker or all', () => {
    const traces = [request(1, 0, 90), request(2, 10, 20, 'w2'), request(3, 20, null)];
    const shown = (order: 'newest' | 'slowest', worker: string | null) =>
      shownRequests(traces, { order, worker, limit: 2, now: 60 }).map(({ id }) => id);
    expect([shown('newest', null), shown('slowest', null), shown('newest', 'w1')]).toEqual([
      [3, 2],
      [1, 3],
      [3, 1],
    ]);
    expect(durationMs(traces[2]!, 60)).toBe(40);
  });
});

describe('the sentence about the fleet', () => {
  const workers = (...states: FeedWorker['state'][]): FleetModel['workers'] =>
    new Map(
      states.map((state, i) => [
        `w${i + 1}`,
        {
          ...{ id: `w${i + 1}`, state, device: 'cpu', quarantined: false, blocks: 0, bytes: 0, budget: 1 },
          ...{ running: 0, waiting: 0, hit_rate: 0, compute_ms_per_token: null },
        },
      ]),
    );
  const model = (more: Partial<FleetModel>): FleetModel => ({
    ...{ ...EMPTY_MODEL, replicas: 2, snapshots: [{ at: 0, workers: [] }] },
    ...more,
  });

  it('says what is well', () => {
    expect(fleetSentence(model({ workers: workers('serving', 'serving') }))).toEqual({
      tone: 'calm',
      text: '2 workers share one memory. It is empty until the next prompt of 64 tokens or more.',
    });
    expect(fleetSentence(model({ workers: workers('serving', 'serving'), copies: { blocks: 9, below: 0 } })).text).toBe(
      '2 workers share one memory. 9 blocks of 64 tokens, each on 2 workers or more.',
    );
  });

  it('does not take the rounded counts of a user for exact ones', () => {
    const role = 'user' as const;
    const hello = { type: 'hello' as const, at: 0, version: '1', model: 'm', role, routing: false, chaos: false };
    const said = (blocks: number, below: number) =>
      fleetSentence(
        model({ hello: { ...hello, happened: [] }, workers: workers('serving', 'serving'), copies: { blocks, below } }),
      ).text;
    const rounded = 'The counts of a user are rounded, and up to a minute old.';
    expect([said(0, 0), said(128, 0), said(256, 64)]).toEqual([
      `2 workers share one memory. It keeps fewer than 64 blocks of 64 tokens. ${rounded}`,
      `2 workers share one memory. It keeps about 128 blocks of 64 tokens. ${rounded}`,
      `2 workers share one memory. It keeps about 256 blocks of 64 tokens, of which about 64 lack a copy. ${rounded}`,
    ]);
  });

  it('says what is wrong, and first', () => {
    const copies = { blocks: 9, below: 4 };
    expect(fleetSentence(model({ workers: workers('serving', 'dead', 'serving'), copies }))).toEqual({
      tone: 'trouble',
      text: 'w2 is dead. 2 workers share one memory. 9 blocks of 64 tokens; 4 have fewer than 2 copies, and are being copied while there is room.',
    });
    expect(fleetSentence(model({ workers: workers('suspect', 'dead') })).text).toBe(
      'w2 is dead. w1 does not answer. No worker serves: requests wait or fail.',
    );
  });
});

describe('words', () => {
  it('keep numbers short', () => {
    expect([0, 999, 1_536, 1_048_576, 150 * 2 ** 30].map(byteText)).toEqual([
      '0 B',
      '999 B',
      '1.5 KiB',
      '1 MiB',
      '150 GiB',
    ]);
    expect([1.234, 31.4, 1_234, 65_000].map(timeText)).toEqual(['1.2 ms', '31 ms', '1.23 s', '65.0 s']);
  });

  it('say where a prompt came from', () => {
    const cached = { local: 1, remote: 64, computed: 7 };
    const sent = (copied: number): RequestTrace =>
      trace(
        { step: 'started', id: 1, at: 1, worker: 'w1', cached, queue_ms: 0 },
        {
          ...{ step: 'found', id: 1, at: 2, worker: 'w1', host: 0, disk: 0 },
          from: [{ worker: 'w2', blocks: 1, copied }],
        },
      );
    expect(sourceSentence('w1', cached, sent(0).attempts[0]!)).toBe(
      'w1 found 1 token in its own memory, fetched 64 tokens from w2 and computed 7 tokens.',
    );
    expect(sourceSentence('w1', cached, sent(1).attempts[0]!)).toContain('had 64 tokens in copies from w2');
    expect(sourceSentence('w1', cached, null)).toContain('got 64 tokens from another worker');
    expect(sourceSentence('w1', { local: 0, remote: 0, computed: 7 }, null)).toBe('w1 computed 7 tokens.');
  });
});

describe('series', () => {
  const answer = (at: number[], requests: number[], happened: number[] = []) =>
    ({ at, series: { requests }, happened: happened.map((each) => ({ at: each })) }) as unknown as HistoryAnswer;

  it('continue each other, keep their limit, and begin anew with a new coordinator', () => {
    const first = joined(null, answer([1, 2], [10, 20], [1.5, 2.5]), 3);
    const next = joined(first, answer([3, 4], [30, 40], [2.5, 3.5]), 3);
    expect(next.happened.map(({ at }) => at)).toEqual([1.5, 2.5, 3.5]);
    expect([next.at, next.series.requests]).toEqual([
      [2, 3, 4],
      [20, 30, 40],
    ]);
    expect(joined(next, answer([4], [7]), 3).at).toEqual([4]);
    expect(joined(next, answer([], []), 3).at).toEqual([2, 3, 4]);
  });

  it('add up, and make shares where there is something to share', () => {
    expect(
      stacked([
        [1, 2],
        [10, null],
      ]),
    ).toEqual([
      [1, 2],
      [11, 2],
    ]);
    const counts = { local: [1, 0], remote: [2, 0], computed: [1, 0] } as unknown as HistoryAnswer['series'];
    expect(hitShares(counts)).toEqual([75, null]);
    expect(perMinute([0.5, null])).toEqual([30, null]);
  });
});

describe('the range of the plots', () => {
  it('moves and stretches within the last hour, without a mouse', () => {
    const known = { from: 0, to: 3_600 };
    const range = { from: 1_000, to: 1_100 };
    expect(stepped(range, 'earlier', known)).toEqual({ from: 950, to: 1_050 });
    expect(stepped(range, 'later', known)).toEqual({ from: 1_050, to: 1_150 });
    expect(stepped(range, 'narrower', known)).toEqual({ from: 1_025, to: 1_075 });
    expect(stepped(range, 'wider', known)).toEqual({ from: 950, to: 1_150 });
    expect(stepped({ from: 3_500, to: 3_600 }, 'later', known)).toEqual({ from: 3_500, to: 3_600 });
    expect(stepped({ from: 0, to: 3_600 }, 'wider', known)).toEqual(known);
    expect(stepped({ from: 10, to: 10 + LEAST_SECONDS }, 'narrower', known)).toEqual({
      from: 10,
      to: 10 + LEAST_SECONDS,
    });
  });
});

describe('the chat', () => {
  it('says what an answer would have cost without K/V, by measurement or by estimate', () => {
    const cost = (local: number, computed: number, ttft_ms: number) => ({
      ...{ worker: 'w1', cached: { local, remote: 0, computed }, ttft_ms, queue_ms: 5 },
    });
    const hit = cost(900, 100, 40);
    // Nothing to compare: it was computed whole, or nothing is known.
    expect(coldCost(cost(0, 1_000, 300), [], { worker: 'w1', msPerToken: 0.5 })).toBeNull();
    expect(coldCost(hit, [], null)).toBeNull();
    const rate = { worker: 'w1', msPerToken: 0.5 };
    expect(coldCost(hit, [cost(64, 936, 280)], rate)).toEqual({ ms: 505, measured: false, rateOf: 'w1' });
    expect(coldCost(hit, [cost(0, 1_000, 300), cost(900, 100, 35)], rate)).toEqual({ ms: 300, measured: true });
    expect(coldSentence(hit, { ms: 505, measured: false }, timeText)).toBe(
      'Estimate: to compute all 1,000 tokens at the measured rate of w1 would take 505 ms, 13 times as long.',
    );
    expect(coldSentence(hit, { ms: 20, measured: true }, timeText)).toBe(
      'An earlier answer to the same prompt, computed from nothing, took 20 ms, less.',
    );
  });

  it('estimates with the rate of the slowest other worker where the worker has measured none', () => {
    const worker = (id: string, rate: number | null) => ({ id, compute_ms_per_token: rate });
    const workers = [worker('w1', null), worker('w2', 0.5), worker('w3', 2)];
    expect(rateFor('w2', workers)).toEqual({ worker: 'w2', msPerToken: 0.5 });
    expect(rateFor('w1', workers)).toEqual({ worker: 'w3', msPerToken: 2 });
    expect(rateFor('w1', workers.slice(0, 1))).toBeNull();
  });

  it('splits a prompt where its source changes', () => {
    expect(splitAt(['ab', 'ab', 'abcd'])).toEqual([
      { source: 'local', text: 'ab' },
      { source: 'computed', text: 'cd' },
    ]);
  });

  it('gives the request for a shell and for the SDK, without the key', () => {
    const question = {
      path: '/v1/chat/completions' as const,
      body: { messages: [{ role: 'user', content: "it's" }] },
      worker: 'w1',
    };
    const curl = curlSnippet('http://h', question, true);
    expect(curl).toContain("it'\\''s");
    expect(curl).toContain("-H 'x-shoal-worker: w1'");
    expect(curl).toContain('Bearer YOUR-KEY');
    // As the page sends it.
    expect(curl).toContain('"stream": true');
    const sdk = sdkSnippet('http://h', question, false);
    expect(sdk).toContain("apiKey: 'none'");
    expect(sdk).toContain('client.chat.completions.create');
    const completion = { path: '/v1/completions' as const, body: { prompt: 'Once' }, worker: null };
    expect(sdkSnippet('http://h', completion, false)).toContain('client.completions.create');
  });
});

describe('the colours', () => {
  /** Red, green and blue of a colour in the light or the dark theme. */
  const css = readFileSync(new URL('../../../console/style.css', import.meta.url), 'utf8');
  const valuesOf = (name: string) =>
    [...css.matchAll(new RegExp(`--${name}: #(..)(..)(..);`, 'g'))].map((match) =>
      match.slice(1).map((part) => Number.parseInt(part, 16)),
    );

  it('have no colour of a source, or of copies on their way, for another meaning', () => {
    const [light, dark] = valuesOf('heat').map(([r, g, b]) => Math.max(r!, g!, b!) - Math.min(r!, g!, b!));
    expect(light).toBeLessThan(32);
    expect(dark).toBeLessThan(32);
    expect(css).toMatch(/\.swatch\.fetched \{\s+background: repeating-linear-gradient\(45deg, var\(--soft\)/);
  });
});
