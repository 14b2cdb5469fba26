import { expect, test } from 'vitest';
import { DraftLength } from '../../../src/core/draft-length.js';

/** The lengths of the next guesses, each of which is right in its first `right(length)` tokens; 0 for a step of rest. */
function lengths(draft: DraftLength, steps: number, right: (length: number) => number): number[] {
  return Array.from({ length: steps }, () => {
    const length = draft.next();
    if (length > 0) draft.verified(length, right(length));
    return length;
  });
}

test('right guesses double, up to the limit', () => {
  expect(lengths(new DraftLength(12), 4, (length) => length)).toEqual([4, 8, 12, 12]);
  expect(lengths(new DraftLength(3), 2, (length) => length)).toEqual([3, 3]);
});

test('a guess that is right in part is followed by one of that part', () => {
  expect(lengths(new DraftLength(16), 4, (length) => Math.min(length, 3))).toEqual([4, 3, 6, 3]);
});

test('wrong guesses are followed by longer and longer rests', () => {
  const tried = lengths(new DraftLength(16), 140, () => 0).flatMap((length, step) => (length > 0 ? [step] : []));
  expect(tried).toEqual([0, 2, 5, 10, 19, 36, 69, 102, 135]);
});

test('a right guess ends the rests', () => {
  const draft = new DraftLength(4);
  lengths(draft, 6, () => 0);
  expect(lengths(draft, 1, () => 0)).toEqual([0]);
  while (draft.next() === 0);
  draft.verified(4, 4);
  draft.next();
  draft.verified(4, 0);
  expect([draft.next(), draft.next()]).toEqual([0, 4]);
});

test('none are guessed where none are allowed', () => {
  expect(new DraftLength(0).next()).toBe(0);
});

test('a guess that was shorter than allowed, because fewer tokens were known, does not shorten the next', () => {
  const draft = new DraftLength(16);
  draft.verified(draft.next(), 4);
  expect(draft.next()).toBe(8);
  draft.verified(1, 1);
  expect(draft.next()).toBe(8);
});
