import { describe, expect, it } from 'vitest';
import { Gathering } from '../../../src/async/gathering.js';
import { SimulatedClock } from '../../../src/clock.js';

describe('a gathering', () => {
  it('handles the first items of an interval at once, and the others together at its end', async () => {
    const clock = new SimulatedClock();
    const handled: (readonly number[])[] = [];
    const gathering = new Gathering<number>(clock, 2, 20, (items) => handled.push(items));
    for (let i = 0; i < 5; i++) gathering.add(i);
    expect(handled).toEqual([[0], [1]]);
    await clock.advance(20);
    expect(handled).toEqual([[0], [1], [2, 3, 4]]);
    gathering.add(5);
    expect(handled.at(-1)).toEqual([5]);
    await clock.advance(20);
    expect(handled).toHaveLength(4);
    expect(clock.nextAtMs()).toBeNull();
  });

  it('ignores items after its end, and leaves no timer', () => {
    const clock = new SimulatedClock();
    const handled: (readonly number[])[] = [];
    const gathering = new Gathering<number>(clock, 1, 20, (items) => handled.push(items));
    gathering.add(1);
    gathering.add(2);
    gathering.stop();
    gathering.add(3);
    expect(handled).toEqual([[1]]);
    expect(clock.nextAtMs()).toBeNull();
  });
});
