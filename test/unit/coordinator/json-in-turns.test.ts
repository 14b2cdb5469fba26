import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonInTurns } from '../../../coordinator/openai/json-in-turns.js';
import { Cancelled } from '../../../src/errors.js';

const live = new AbortController().signal;

describe('JSON in turns', () => {
  it('is the JSON of a value', async () => {
    const list = (item: fc.Arbitrary<unknown>) => fc.array(item, { maxLength: 200 });
    const lazy = fc.integer().map((n) => ({ toJSON: () => ({ n }) }));
    const value = fc.record({
      choices: fc.array(fc.record({ long: list(fc.oneof(fc.jsonValue(), lazy)), none: fc.constant(undefined) })),
      other: fc.jsonValue(),
      empty: fc.constantFrom([], {}),
    });
    await fc.assert(
      fc.asyncProperty(value, async (made) => {
        expect(await jsonInTurns(made, live)).toBe(JSON.stringify(made));
      }),
      { numRuns: 200 },
    );
  });

  it('lets the event loop turn between the items of a long list, and stops when the client leaves', async () => {
    let turns = 0;
    let over = false;
    const count = () => {
      turns++;
      if (!over) setImmediate(count);
    };
    setImmediate(count);
    await jsonInTurns({ list: Array(6_400).fill({ a: 1 }) }, live);
    over = true;
    expect(turns).toBeGreaterThan(90);
    const leaving = new AbortController();
    const text = jsonInTurns({ list: Array(6_400).fill(1) }, leaving.signal);
    leaving.abort(new Cancelled('the client disconnected'));
    await expect(text).rejects.toThrow(Cancelled);
  });
});
