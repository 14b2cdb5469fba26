import { expect, it } from 'vitest';
import { Entries } from '../../../src/core/entries.js';

it('has what a map would have after the same changes, in the same order, and leaves earlier values as they were', () => {
  let state = 7;
  const draw = (most: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state % most;
  };
  const model = new Map<string, number>();
  let entries = Entries.none<number>();
  for (let step = 0; step < 400; step++) {
    const before = { entries, listed: [...entries] };
    const draft = entries.draft();
    for (let i = draw(4); i >= 0; i--) {
      const id = `w${draw(90)}`;
      if (draw(8) === 0) {
        draft.delete(id);
        model.delete(id);
      } else {
        draft.set(id, step);
        model.set(id, step);
      }
    }
    expect([...draft]).toEqual([...model]);
    entries = draft.done();
    expect([...entries]).toEqual([...model]);
    expect(entries.size).toBe(model.size);
    for (let i = 0; i < 90; i++) expect(entries.get(`w${i}`)).toBe(model.get(`w${i}`));
    expect([...before.entries]).toEqual(before.listed);
  }
});
