import { describe, expect, it } from 'vitest';
import { Hands } from '../../../../workers/audit/hands.js';

const MAKER = { id: 'maker', incarnation: '1' };
const OTHER = { id: 'other', incarnation: '1' };

describe('the hands that a block came from', () => {
  const blockOf = (maker: typeof MAKER, key = 'k') => {
    return { key, parent: null, index: 0, segment: key, digest: 'd', maker };
  };
  const fresh = () => new Hands((id) => id !== 'coordinator');

  it("are its maker's where this worker fetched it there, and nobody else's pushes change that", () => {
    const hands = fresh();
    hands.pushed(blockOf(MAKER), OTHER);
    expect([hands.has(blockOf(MAKER)), hands.bringerOf(blockOf(MAKER))]).toEqual([false, 'other/1']);
    hands.fetched(blockOf(MAKER), OTHER);
    expect(hands.has(blockOf(MAKER))).toBe(false);
    hands.fetched(blockOf(MAKER), MAKER);
    hands.pushed(blockOf(MAKER), OTHER);
    expect([hands.has(blockOf(MAKER)), hands.bringerOf(blockOf(MAKER))]).toEqual([true, 'maker/1']);
    expect(hands.bringerOf(blockOf(MAKER, 'another'))).toBeNull();
  });

  it('are not proved by the push of one that says that it is the maker, unless it is a coordinator, which cannot be asked', () => {
    const hands = fresh();
    hands.pushed(blockOf(MAKER), MAKER);
    expect(hands.has(blockOf(MAKER))).toBe(false);
    const coordinator = { id: 'coordinator', incarnation: '1' };
    hands.pushed(blockOf(coordinator), coordinator);
    expect(hands.has(blockOf(coordinator))).toBe(true);
  });
});
