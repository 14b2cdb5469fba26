import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SealedBlock } from '../../../src/core/block.js';
import type { Debt, DebtCause } from '../../../src/core/debt-lines.js';
import { Debts } from '../../../src/core/debts.js';

/** The debts of a worker: how they are counted, in which order they are due, and what is dropped. */

const UNBOUNDED = Number.POSITIVE_INFINITY;
const block = (key: string): SealedBlock => ({
  key,
  parent: null,
  index: 0,
  segment: key,
  digest: '0'.repeat(16),
  maker: { id: 'w', incarnation: '1' },
});
const names = (debts: readonly Debt[]) => debts.map(({ block: { key }, to }) => `${key} to ${to}`);

describe('debts', () => {
  it('are due in order, new and moved blocks alike, and checks last', () => {
    const debts = new Debts(UNBOUNDED);
    debts.owe([block('check')], 'a', 'check', 1);
    debts.owe([block('moved')], 'a', 'moved', 1);
    debts.owe([block('new 1'), block('new 2')], 'a', 'new', 1);
    expect(names(debts.next('a', 9, true))).toEqual(['new 1 to a', 'new 2 to a', 'moved to a', 'check to a']);
    expect(names(debts.next('a', 9, false))).toEqual(['new 1 to a', 'new 2 to a']);
    expect(names(debts.next('a', 1, true))).toEqual(['new 1 to a']);
    expect([debts.size, debts.waiting, debts.lacking]).toEqual([4, 3, 3]);
  });

  it('are due for the blocks with the fewest known copies first', () => {
    const debts = new Debts(UNBOUNDED);
    debts.owe([block('two copies')], 'a', 'new', 2);
    debts.owe([block('one copy')], 'a', 'new', 2);
    debts.owe([block('one copy')], 'b', 'new', 2);
    expect(names(debts.next('a', 9, true))).toEqual(['one copy to a', 'two copies to a']);
    debts.paid('one copy', 'b');
    expect(names(debts.next('a', 9, true))).toEqual(['two copies to a', 'one copy to a']);
  });

  it('are of one kind for each block and home: a check becomes more, and never less', () => {
    const debts = new Debts(UNBOUNDED);
    debts.owe([block('x')], 'a', 'check', 1, 5_000);
    debts.owe([block('x')], 'a', 'new', 1);
    debts.owe([block('x')], 'a', 'check', 1, 5_000);
    debts.owe([block('x')], 'a', 'moved', 1);
    expect(debts.next('a', 9, true).map(({ cause }) => cause)).toEqual(['new']);
    expect([debts.size, debts.waiting, debts.lacking]).toEqual([1, 1, 1]);
  });

  it('rest until their time, counted meanwhile', () => {
    const debts = new Debts(UNBOUNDED);
    debts.owe([block('x'), block('y')], 'a', 'new', 1);
    debts.rest(debts.next('a', 1, true), 500);
    debts.owe([block('z')], 'b', 'moved', 1, 300);
    expect([names(debts.next('a', 9, true)), debts.creditors]).toEqual([['y to a'], ['a']]);
    expect([debts.nextDueMs, debts.waiting, debts.lacking]).toEqual([300, 3, 3]);
    debts.wake(499);
    expect([names(debts.next('a', 9, true)), debts.creditors, debts.nextDueMs]).toEqual([['y to a'], ['a', 'b'], 500]);
    debts.wake(500);
    expect([names(debts.next('a', 9, true)), debts.nextDueMs]).toEqual([['y to a', 'x to a'], null]);
  });

  it('that were paid while they rested are not due again', () => {
    const debts = new Debts(UNBOUNDED);
    debts.owe([block('x')], 'a', 'new', 1, 500);
    debts.paid('x', 'a');
    debts.wake(500);
    expect([debts.creditors, debts.size, debts.lacking]).toEqual([[], 0, 0]);
  });

  it('end when a home refuses for good, and their blocks count as lacking a copy', () => {
    const debts = new Debts(UNBOUNDED);
    debts.owe([block('x'), block('y')], 'a', 'new', 1);
    debts.owe([block('z')], 'a', 'check', 1);
    const all = debts.next('a', 9, true);
    expect([...debts.refuse(all.slice(0, 1)).keys()]).toEqual([1]);
    expect([...debts.refuse(all)].map(([refusals, some]) => [refusals, some.length])).toEqual([
      [2, 1],
      [1, 2],
    ]);
    debts.giveUp(all);
    expect([debts.size, debts.waiting, debts.lacking, debts.creditors]).toEqual([3, 0, 3, []]);
    expect([debts.owes('x', 'a'), debts.owes('z', 'a')]).toEqual([false, false]);
    debts.owe([block('x')], 'a', 'check', 1);
    expect(debts.creditors).toEqual([]);
    debts.owe([block('x')], 'a', 'moved', 1);
    expect(debts.refuse(debts.next('a', 9, true)).has(1)).toBe(true);
    for (const key of ['x', 'y', 'z']) debts.paid(key, 'a');
    expect([debts.size, debts.lacking]).toEqual([0, 0]);
  });

  it('end with their block, and those that are not kept are dropped', () => {
    const debts = new Debts(UNBOUNDED);
    debts.owe([block('x'), block('y')], 'a', 'new', 2);
    debts.owe([block('x')], 'b', 'new', 2);
    debts.owe([block('z')], 'a', 'moved', 1);
    expect([debts.forget('x'), debts.forget('x'), debts.size]).toEqual([true, false, 2]);
    expect(debts.keep(({ to }) => to !== 'a').map(({ key }) => key)).toEqual(['y']);
    expect([debts.size, debts.waiting, debts.lacking]).toEqual([0, 0, 0]);
  });

  it('that are postponed come after the others', () => {
    const debts = new Debts(UNBOUNDED);
    debts.owe([block('x'), block('y'), block('z')], 'a', 'new', 1);
    debts.postpone(debts.next('a', 2, true));
    expect(names(debts.next('a', 9, true))).toEqual(['z to a', 'x to a', 'y to a']);
  });

  it('beyond the bound are dropped and counted: refused ones first, then the blocks with the most copies', () => {
    const debts = new Debts(4);
    debts.owe([block('refused')], 'a', 'new', 1);
    debts.giveUp(debts.next('a', 1, true));
    debts.owe([block('check')], 'a', 'check', 1, 5_000);
    debts.owe([block('two copies')], 'b', 'new', 2);
    debts.owe([block('one copy')], 'b', 'new', 1);
    debts.owe([block('1')], 'c', 'new', 1);
    expect([debts.size, debts.lacking]).toEqual([4, 4]);
    debts.owe([block('2')], 'c', 'new', 1);
    expect([debts.owes('check', 'a'), debts.lacking]).toEqual([false, 5]);
    debts.owe([block('3')], 'c', 'new', 1);
    expect([debts.owes('two copies', 'b'), debts.owes('one copy', 'b'), debts.lacking]).toEqual([false, true, 6]);
    debts.owe([block('4')], 'c', 'new', 1);
    expect(names(debts.next('c', 9, true))).toEqual(['2 to c', '3 to c', '4 to c']);
    debts.owe([block('another check')], 'a', 'check', 1);
    expect([debts.owes('another check', 'a'), debts.lacking]).toEqual([false, 7]);
    expect(debts.recoverable).toEqual([]);
    for (const key of ['2', '3']) debts.paid(key, 'c');
    // Something else is owed to the others first.
    expect(debts.recoverable).toEqual(['a']);
    debts.paid('one copy', 'b');
    expect(debts.recoverable.sort()).toEqual(['a', 'b']);
    debts.found('a', debts.dropped('a'));
    expect([debts.recoverable, debts.lacking]).toEqual([['b'], 3]);
    debts.keepDropped((to) => to === 'c');
    expect([debts.recoverable, debts.lacking]).toEqual([[], 2]);
  });

  it('are kept in bounded memory when 100,000 are owed, in little time, and all count', () => {
    const [bound, count] = [8_192, 100_000];
    const debts = new Debts(bound);
    for (let i = 0; i < count; i++) debts.owe([block(`${i}`)], `home ${i % 5}`, 'new', 1);
    expect([debts.size, debts.lacking]).toEqual([bound, count]);
    for (const to of debts.creditors) {
      for (let next = debts.next(to, 16, true); next.length > 0; next = debts.next(to, 16, true)) {
        for (const { block: paid } of next) debts.paid(paid.key, to);
      }
    }
    expect(debts.recoverable.length).toBe(5);
    for (const to of debts.recoverable) debts.found(to, debts.dropped(to));
    expect([debts.size, debts.waiting, debts.lacking]).toEqual([0, 0, 0]);
  });

  it('agree with a plain list under any sequence of events', () => {
    const key = fc.constantFrom('x', 'y', 'z');
    const to = fc.constantFrom('a', 'b', 'c');
    const cause = fc.constantFrom<DebtCause>('new', 'moved', 'check');
    const step = fc.oneof(
      fc.record({ do: fc.constant('owe' as const), key, to, cause, rests: fc.boolean() }),
      fc.record({
        do: fc.constantFrom('pay' as const, 'giveUp' as const, 'rest' as const, 'excuse' as const, 'postpone' as const),
        key,
        to,
      }),
      fc.record({ do: fc.constantFrom('forget' as const), key }),
      fc.record({ do: fc.constant('keep' as const), to }),
      fc.record({ do: fc.constant('wake' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const debts = new Debts(UNBOUNDED);
        const model = new Map<string, { key: string; to: string; cause: DebtCause; state: string }>();
        let nowMs = 0;
        const find = (one: { key: string; to: string }) =>
          debts.next(one.to, 99, true).filter(({ block: { key: k } }) => k === one.key);
        for (const one of steps) {
          nowMs++;
          switch (one.do) {
            case 'owe': {
              const name = `${one.key} ${one.to}`;
              const known = model.get(name);
              debts.owe([block(one.key)], one.to, one.cause, 3, one.rests ? nowMs + 5 : null);
              const stronger =
                !known || (one.cause !== 'check' && (known.cause === 'check' || known.state === 'refused'));
              if (stronger) model.set(name, { ...one, state: one.rests ? 'resting' : 'due' });
              break;
            }
            case 'pay':
              debts.paid(one.key, one.to);
              model.delete(`${one.key} ${one.to}`);
              break;
            case 'giveUp':
            case 'rest':
            case 'excuse':
            case 'postpone': {
              const due = find(one);
              const known = model.get(`${one.key} ${one.to}`);
              expect(due.length).toBe(known?.state === 'due' ? 1 : 0);
              if (one.do === 'giveUp') debts.giveUp(due);
              if (one.do === 'rest') debts.rest(due, nowMs + 5);
              if (one.do === 'excuse') debts.excuse(due, nowMs + 5);
              if (one.do === 'postpone') debts.postpone(due);
              if (due.length > 0 && one.do === 'giveUp') Object.assign(known!, { state: 'refused', cause: 'new' });
              if (due.length > 0 && one.do === 'excuse') Object.assign(known!, { state: 'resting', cause: 'check' });
              if (due.length > 0 && one.do === 'rest') known!.state = 'resting';
              break;
            }
            case 'forget':
              debts.forget(one.key);
              for (const [name, { key: k }] of [...model]) if (k === one.key) model.delete(name);
              break;
            case 'keep':
              debts.keep(({ to: t }) => t !== one.to);
              for (const [name, { to: t }] of [...model]) if (t === one.to) model.delete(name);
              break;
            case 'wake':
              nowMs += 5;
              debts.wake(nowMs);
              for (const debt of model.values()) if (debt.state === 'resting') debt.state = 'due';
          }
          const all = [...model.values()];
          const counted = all.filter((debt) => debt.cause !== 'check');
          expect(debts.size).toBe(all.length);
          expect(debts.waiting).toBe(counted.filter(({ state }) => state !== 'refused').length);
          expect(debts.lacking).toBe(new Set(counted.map(({ key: k }) => k)).size);
          expect(debts.creditors.sort()).toEqual(
            [...new Set(all.filter(({ state }) => state === 'due').map(({ to: t }) => t))].sort(),
          );
          // The most endangered blocks come first.
          for (const home of debts.creditors) {
            const owed = debts
              .next(home, 99, true)
              .map(({ block: { key: k }, cause: c }) =>
                c === 'check' ? 9 : Math.min(3, 4 - counted.filter((debt) => debt.key === k).length),
              );
            expect(owed).toEqual([...owed].sort());
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
