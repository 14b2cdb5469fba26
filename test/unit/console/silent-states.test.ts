import { describe, expect, it } from 'vitest';
import { memoryText } from '../../../console/cache/memory-text.js';
import { colouredPrompt } from '../../../console/chat/prompt-colours.js';
import { type RequestTrace, withStep } from '../../../console/feed/request-trace.js';
import { lastWithin } from '../../../console/metrics/time-range.js';
import { progressText } from '../../../console/parts/progress.js';
import { otherWorkers, whyNoOther } from '../../../console/ring/other-worker.js';
import type { Api } from '../../../console/session/api.js';
import type { ExplainedBlock } from '../../../src/console/cache-answers.js';
import type { FeedWorker, RequestStep } from '../../../src/console/feed-messages.js';

const worker = (id: string, more: Partial<FeedWorker> = {}): FeedWorker => ({
  ...{ id, state: 'serving', device: 'cpu', quarantined: false, blocks: 0, bytes: 0, budget: 1024 },
  ...{ running: 0, waiting: 0, hit_rate: 0, compute_ms_per_token: null },
  ...more,
});

describe('another worker for the sample prompt', () => {
  const block = (homes: string[], holders: string[]): ExplainedBlock => ({
    ...{ index: 0, key: '', tiers: {}, state: 'hit', reason: null },
    homes,
    holders,
  });

  it('is the one with the fewest blocks of the prompt, so that it has to fetch them', () => {
    const workers = [worker('w1'), worker('w2', { blocks: 1 }), worker('w3', { blocks: 900 })];
    expect(otherWorkers(workers, ['w1'])).toEqual(['w2', 'w3']);
    // A home gets its copies soon, if it does not have them yet.
    const blocks = [block(['w1', 'w2'], ['w1'])];
    expect(otherWorkers(workers, ['w1'], { blocks })).toEqual(['w3', 'w2']);
  });

  it('does not go missing without a word', () => {
    const [one, two] = [worker('w1'), worker('w2')];
    const gone = worker('w2', { state: 'dead' });
    expect(whyNoOther([one, two], [], false)).toMatch(/--allow-routing/);
    expect(whyNoOther([one, two], ['w1'], true)).toBeNull();
    expect(whyNoOther([one, gone], ['w1'], true)).toMatch(/^Only one worker serves/);
    expect(whyNoOther([gone], [], true)).toMatch(/^No worker serves/);
    expect(whyNoOther([one, two], ['w1', 'w2'], true)).toMatch(/^Each worker has answered/);
  });
});

describe('a request without a token', () => {
  it('says what it waits for', () => {
    const steps: RequestStep[] = [
      { step: 'arrived', id: 1, at: 1, tokens: 9 },
      { step: 'placed', id: 1, at: 2, worker: 'w1', resumed: 0, candidates: [], sources: [] },
      { step: 'started', id: 1, at: 3, worker: 'w1', cached: { local: 0, remote: 0, computed: 9 }, queue_ms: 0 },
      { step: 'first', id: 1, at: 4 },
    ];
    const workers = (w1: FeedWorker['state'], w2: FeedWorker['state'] = 'serving') =>
      new Map([worker('w1', { state: w1 }), worker('w2', { state: w2 })].map((each) => [each.id, each]));
    const told = (count: number, known = workers('serving')) =>
      progressText(
        steps.slice(0, count).reduce<RequestTrace | undefined>((before, step) => withStep(before, step), undefined),
        known,
      );
    expect([0, 1, 2, 3, 4].map((count) => told(count))).toEqual([
      'Sent…',
      'Waiting for a worker to take it…',
      'On w1, waiting its turn or for blocks…',
      'w1 computes the prompt…',
      'w1 streams the answer…',
    ]);
    expect(told(2, workers('dead'))).toBe('w1 does not answer. Another worker will take it over…');
    expect(told(2, workers('dead', 'suspect'))).toBe('No worker serves now; the request waits for one…');
  });
});

describe('the memory of the fleet', () => {
  const calm = { replicas: 2, rounded: false };

  it('is told in whole sentences, also if there is none', () => {
    const [one, two] = [worker('w1', { blocks: 3, bytes: 512 }), worker('w2', { blocks: 3, bytes: 512 })];
    expect(memoryText([], { blocks: 0, below: 0 }, calm)).toBe('No worker lives, so the fleet has no memory now.');
    expect(memoryText([worker('w1')], { blocks: 0, below: 0 }, calm)).toBe('No blocks. 0 B of 1 KiB in use (0 %).');
    expect(memoryText([worker('w1')], { blocks: 0, below: 0 }, { ...calm, rounded: true })).toMatch(
      /^No blocks, or so few that the rounded counts show none\. /,
    );
    expect(memoryText([one], { blocks: 3, below: 0 }, calm)).toMatch(/Each block is on 1 worker\.$/);
    expect(memoryText([one, two], { blocks: 3, below: 0 }, calm)).toBe(
      '3 different blocks of 64 tokens, with all copies 6; 1 KiB of 2 KiB in use (50 %). Each block is on 2 workers.',
    );
    expect(memoryText([one, two, worker('w3')], { blocks: 3, below: 0 }, calm)).toMatch(/on 2 workers or more\.$/);
    expect(memoryText([one, two], { blocks: 3, below: 1 }, calm)).toMatch(/1 block lacks a copy\.$/);
  });
});

describe('the numbers beside a plot', () => {
  it('are the last ones of the range that is shown', () => {
    const at = [10, 20, 30, 40];
    expect(lastWithin(at, { from: 15, to: 35 })).toBe(2);
    expect(lastWithin(at, { from: 0, to: 99 })).toBe(3);
    expect([lastWithin(at, { from: 0, to: 9 }), lastWithin(at, { from: 41, to: 50 })]).toEqual([null, null]);
    expect(lastWithin([], { from: 0, to: 9 })).toBeNull();
  });
});

describe('the colours of a prompt', () => {
  it('cost as few requests as there are different colours, and one for the tokens', async () => {
    const paths: string[] = [];
    const api = {
      post: async (path: string, { tokens }: { tokens: number[] }) => {
        paths.push(path);
        return path === '/tokenize' ? { tokens: [1, 2, 3] } : { prompt: 'abc'.slice(0, tokens.length) };
      },
    } as unknown as Api;
    const parts = await colouredPrompt(api, { prompt: 'abc' }, { local: 2, remote: 0, computed: 1 });
    expect(parts).toEqual([
      { source: 'local', text: 'ab' },
      { source: 'computed', text: 'c' },
    ]);
    expect(paths).toEqual(['/tokenize', '/detokenize', '/detokenize']);
  });
});
