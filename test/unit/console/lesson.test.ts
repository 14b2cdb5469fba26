import { describe, expect, it } from 'vitest';
import type { AnswerCost } from '../../../console/chat/stream-answer.js';
import type { RequestAttempt } from '../../../console/feed/request-trace.js';
import { missText } from '../../../console/parts/words.js';
import { lessonOf } from '../../../console/ring/lesson.js';

const cost = (worker: string, local: number, remote: number, computed: number): AnswerCost => ({
  ...{ worker, cached: { local, remote, computed }, ttft_ms: computed / 10, queue_ms: 0 },
});

import type { Happening } from '../../../src/console/feed-messages.js';

describe('what an answer to the sample teaches', () => {
  const first = cost('w1', 0, 0, 591);

  it('names the kind of hit, and compares it with the computation', () => {
    expect(lessonOf(first, [], null, [])).toMatch(/^Nobody knew this prompt: w1 computed all of it/);
    expect(lessonOf(cost('w1', 576, 0, 15), [first], null, [])).toBe(
      'A local hit: w1 found the prompt in its own memory, and computed only the last 15 tokens. First token after 1.5 ms; computed from nothing it took 59 ms.',
    );
    expect(lessonOf(cost('w2', 0, 576, 15), [first], null, [])).toMatch(
      /^A remote hit: w2 got the K\/V of 576 tokens from the memory of another worker/,
    );
  });

  it('names the sender once the worker has told, and does not call copies a fetch', () => {
    const sent = (copied: number): RequestAttempt => ({
      ...{ placed: null, started: null, firstAt: null },
      found: {
        ...{ step: 'found', id: 1, at: 1, worker: 'w2', host: 0, disk: 0 },
        from: [{ worker: 'w3', blocks: 9, copied }],
      },
    });
    const hit = cost('w2', 0, 576, 15);
    expect(lessonOf(hit, [first], sent(0), [])).toMatch(/^A remote hit: w2 got .* from the memory of w3/);
    expect(lessonOf(hit, [first], sent(9), [])).toMatch(/^A remote hit without a fetch: .* w3 had already sent w2/);
  });

  it('tells why there was no remote hit', () => {
    expect(lessonOf(cost('w2', 576, 0, 15), [first], null, [])).toMatch(/the fleet had copied the blocks to w2/);
    expect(lessonOf(cost('w2', 0, 0, 591), [first], null, [])).toMatch(
      /^No remote hit: w2 computed 591 tokens\. A worker fetches only/,
    );
    expect(lessonOf(cost('w1', 0, 0, 591), [first], null, [])).toMatch(/^w1 computed it again/);
  });

  it('names the worker whose blocks were refused as the cause of a miss', () => {
    const candidates = [{ worker: 'w2', cost_ms: 1, local: 0, remote: 9, compute: 15 }];
    const attempt: RequestAttempt = {
      placed: { step: 'placed', id: 1, at: 50_000, worker: 'w2', resumed: 0, candidates, sources: ['w1', 'w3'] },
      started: {
        ...{ step: 'started', id: 1, at: 50_100, worker: 'w2', queue_ms: 1 },
        cached: { local: 0, remote: 0, computed: 591 },
      },
      ...{ found: null, firstAt: null },
    };
    const refused = (worker: string, from: string, at: number): Happening => ({ at, kind: 'damaged', worker, from });
    const lesson = (...happened: Happening[]) => lessonOf(cost('w2', 0, 0, 591), [first], attempt, happened);
    expect(lesson(refused('w2', 'w3', 50_900))).toBe(
      'No remote hit: w2 got blocks of w3, and saw by their digest that bytes were wrong. It refused them, and computed 591 tokens instead, so that the answer is right all the same.',
    );
    expect(missText(attempt, [refused('w2', 'w1', 45_000)])).toBe(
      '9 blocks could have been had, but w2 refused blocks of w1 at that time: their bytes did not match their digest.',
    );
    // Of another worker, of one that was not asked, and at another time.
    for (const other of [refused('w1', 'w3', 50_900), refused('w2', 'w4', 50_900), refused('w2', 'w3', 30_000)])
      expect(lesson(other)).toMatch(/9 blocks could have been had, but computing was faster/);
  });
});
