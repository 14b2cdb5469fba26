import { describe, expect, it } from 'vitest';
import type { AnswerCost } from '../../../console/chat/stream-answer.js';
import { lessonOf } from '../../../console/ring/lesson.js';

const cost = (worker: string, local: number, remote: number, computed: number): AnswerCost => ({
  ...{ worker, cached: { local, remote, computed }, ttft_ms: computed / 10, queue_ms: 0 },
});

describe('what an answer to the sample teaches', () => {
  const first = cost('w1', 0, 0, 591);

  it('names the kind of hit, and compares it with the computation', () => {
    expect(lessonOf(first, [])).toMatch(/^Nobody knew this prompt: w1 computed all of it/);
    expect(lessonOf(cost('w1', 576, 0, 15), [first])).toBe(
      'A local hit: w1 found the prompt in its own memory, and computed only the last 15 tokens. First token after 1.5 ms; computed from nothing it took 59 ms.',
    );
    expect(lessonOf(cost('w2', 0, 576, 15), [first])).toMatch(
      /^A remote hit: w2 had never seen this prompt\. It fetched the K\/V of 576 tokens from the memory of another worker/,
    );
  });

  it('tells why there was no remote hit', () => {
    expect(lessonOf(cost('w2', 576, 0, 15), [first])).toMatch(/the fleet had copied the blocks to w2/);
    expect(lessonOf(cost('w2', 0, 0, 591), [first])).toMatch(/^No remote hit: w2 could have fetched the blocks/);
    expect(lessonOf(cost('w1', 0, 0, 591), [first])).toMatch(/^w1 computed it again/);
  });
});
