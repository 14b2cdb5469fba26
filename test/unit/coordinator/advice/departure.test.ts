import { describe, expect, it } from 'vitest';
import { departureOf } from '../../../../coordinator/advice/departure.js';
import { Holdings } from '../../../../src/core/holdings.js';
import { packKeys } from '../../../../src/core/key.js';
import type { Member } from '../../../../src/core/member.js';
import { member } from '../support/scripted-fleet.js';

const key = (digit: string) => digit.repeat(64);

/** A fleet of a, b and c, in which a drains with the blocks 1 and 2. */
function fleet(change: Partial<Member> = {}, held: Record<string, string> = { a: '12', b: '1', c: '2' }) {
  const holdings = new Holdings();
  for (const [worker, digits] of Object.entries(held)) {
    const keys = packKeys([...digits].map(key));
    holdings.applyPage(holdings.beginSnapshot(worker, `${worker}-1`), { seq: 0, keys, last: true });
  }
  const a: Member = { ...member('a'), state: 'draining', running: 0, ...change };
  return { holdings, a, departure: (b = member('b'), c = member('c')) => departureOf(a, () => [a, b, c], holdings) };
}

describe('a worker that leaves', () => {
  it('can end when it has no request and no last copy', async () => {
    expect(await fleet().departure()).toMatchObject({ lastCopies: 0, safe: true });
    expect(await fleet({ running: 2 }).departure()).toMatchObject({ safe: false, why: '2 requests have not ended' });
    expect(await fleet({}, { a: '12', b: '1', c: '' }).departure()).toMatchObject({
      ...{ lastCopies: 1, safe: false, why: '1 blocks have no other copy yet' },
    });
  });

  it('cannot end while the other copy is on a worker that drains too', async () => {
    const { departure } = fleet();
    expect(await departure({ ...member('b'), state: 'draining' })).toMatchObject({ lastCopies: 1, safe: false });
    expect(await departure({ ...member('b'), state: 'dead' }, { ...member('c'), state: 'suspect' })).toMatchObject({
      ...{ safe: false, why: '2 blocks have no other copy, and no other worker serves' },
    });
  });

  it('cannot end while it serves, or while the coordinator does not know its blocks', async () => {
    expect(await fleet({ state: 'serving' }).departure()).toMatchObject({ safe: false, lastCopies: 0 });
    expect(await fleet({ holdingsSeq: 1 }).departure()).toMatchObject({ safe: false, lastCopies: null });
  });
});
