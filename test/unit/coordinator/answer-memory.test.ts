import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AnswerMemory } from '../../../coordinator/http/answer-memory.js';

const LIMITS = { windowMs: 1_000, answers: 3, totalBytes: 100, answerBytes: 60 };

function memory() {
  const forgotten: string[] = [];
  return { answers: new AnswerMemory<string>(LIMITS, (answer) => forgotten.push(answer)), forgotten };
}

describe('the memory of answers', () => {
  it('forgets an answer a while after its end, and never one that runs', () => {
    const { answers } = memory();
    answers.add('a', 'A');
    answers.add('b', 'B');
    answers.ended('a', 'A', 500);
    expect(answers.get('a', 1_499)).toBe('A');
    expect(answers.get('a', 1_500)).toBeNull();
    expect(answers.get('b', 1_000_000)).toBe('B');
  });

  it('forgets the oldest over its number, or its bytes', () => {
    const { answers, forgotten } = memory();
    for (const key of ['a', 'b', 'c', 'd']) answers.add(key, key);
    expect(forgotten).toEqual(['a']);
    for (const key of ['b', 'c', 'd']) answers.grew(key, key, 40);
    expect(forgotten).toEqual(['a', 'b']);
    expect(answers.totalBytes).toBe(80);
  });

  it('forgets an answer that is too long itself, and ignores reports about it', () => {
    const { answers, forgotten } = memory();
    answers.add('a', 'first');
    answers.grew('a', 'first', 61);
    expect(forgotten).toEqual(['first']);
    answers.add('a', 'second');
    answers.grew('a', 'first', 10);
    answers.ended('a', 'first', 0);
    answers.forget('a', 'first');
    expect([answers.get('a', 1_000_000), answers.totalBytes]).toEqual(['second', 0]);
  });

  it('never exceeds its limits, and reports each answer that it forgets', () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd', 'e');
    const change = fc.oneof(
      fc.record({ type: fc.constant('add' as const), key }),
      fc.record({ type: fc.constant('grew' as const), key, bytes: fc.nat(50) }),
      fc.record({ type: fc.constant('ended' as const), key }),
      fc.record({ type: fc.constant('pass' as const), key, bytes: fc.nat(900) }),
    );
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
        const { answers, forgotten } = memory();
        let nowMs = 0;
        let added = 0;
        const current = new Map<string, string>();
        for (const step of changes) {
          const answer = current.get(step.key) ?? '';
          if (step.type === 'add') {
            current.set(step.key, `${step.key}${++added}`);
            answers.add(step.key, current.get(step.key)!);
          } else if (step.type === 'grew') answers.grew(step.key, answer, step.bytes);
          else if (step.type === 'ended') answers.ended(step.key, answer, nowMs);
          else nowMs += step.bytes;
          answers.expire(nowMs);
          expect(answers.size).toBeLessThanOrEqual(LIMITS.answers);
          expect(answers.totalBytes).toBeLessThanOrEqual(LIMITS.totalBytes);
          expect(answers.size + forgotten.length).toBe(added);
        }
        answers.clear();
        expect([answers.size, answers.totalBytes, new Set(forgotten).size]).toEqual([0, 0, added]);
      }),
    );
  });
});
