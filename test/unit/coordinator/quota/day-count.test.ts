import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DayCount, type DayReport } from '../../../../coordinator/quota/day-count.js';

const NOON = 12 * 3_600_000;
const NAMES = ['a', 'b', 'c', 'd'];

/** A coordinator uses tokens, reports to another one that hears it now or later, or is replaced by a new process. */
const steps = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant('use' as const), who: fc.nat(2), tokens: fc.integer({ min: 1, max: 50 }) }),
    fc.record({ type: fc.constant('report' as const), who: fc.nat(2), to: fc.nat(2) }),
    fc.record({ type: fc.constant('hear' as const), who: fc.nat(2), to: fc.nat(2) }),
  ),
  { maxLength: 60 },
);

it('the count of a day, after an exchange, is the use of all coordinators, also of one that is gone', () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 0, max: 40 }), (all, goneTokens) => {
      const counts = NAMES.map(() => new DayCount());
      let used = goneTokens;
      // The fourth told the first what it used, and is gone.
      counts[3]!.add(goneTokens, NOON);
      counts[0]!.hear('d', counts[3]!.report(NOON), NOON);
      const wires = new Map<string, DayReport[]>();
      const wire = (from: number, to: number) => {
        const name = `${from}>${to}`;
        return wires.get(name) ?? wires.set(name, []).get(name)!;
      };
      const deliver = (from: number, to: number) => {
        const report = wire(from, to).shift();
        if (report !== undefined && from !== to) counts[to]!.hear(NAMES[from]!, report, NOON);
      };
      for (const step of all) {
        if (step.type === 'use') {
          counts[step.who]!.add(step.tokens, NOON);
          used += step.tokens;
        } else if (step.type === 'report') wire(step.who, step.to).push(counts[step.who]!.report(NOON));
        else deliver(step.who, step.to);
      }
      for (const [name, reports] of wires) {
        const [from, to] = name.split('>').map(Number) as [number, number];
        while (reports.length > 0) deliver(from, to);
      }
      // Everybody hears everybody, twice: the second time everybody knows all.
      for (let round = 0; round < 3; round++) {
        for (const from of [0, 1, 2]) {
          for (const to of [0, 1, 2]) if (from !== to) counts[to]!.hear(NAMES[from]!, counts[from]!.report(NOON), NOON);
        }
      }
      for (const who of [0, 1, 2]) expect(counts[who]!.report(NOON).total).toBe(used);
    }),
  );
});

it('the count of a day ends with the day of UTC', () => {
  const [a, b] = [new DayCount(), new DayCount()];
  a.add(5, NOON);
  expect(a.report(NOON + 12 * 3_600_000)).toEqual({ day: 1, own: 0, total: 0 });
  b.hear('a', { day: 0, own: 5, total: 5 }, NOON + 12 * 3_600_000);
  expect(b.report(NOON + 12 * 3_600_000).total).toBe(0);
});
