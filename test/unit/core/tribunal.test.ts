import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Tribunal } from '../../../src/core/tribunal.js';

const MAKER = { id: 'm', incarnation: '1' };

describe('a tribunal', () => {
  it('quarantines a maker on the votes of two members, of which its own may be one', () => {
    const others = new Tribunal('self');
    expect(others.vote(MAKER, 'a', 0)).toBe('trusted');
    expect(others.vote(MAKER, 'b', 0)).toBe('quarantined');
    expect(others.accused()).toEqual([{ maker: MAKER, standing: 'quarantined', voters: ['a', 'b'] }]);
    const own = new Tribunal('self');
    expect(own.witness(MAKER)).toBe('distrusted');
    expect(own.vote(MAKER, 'a', 0)).toBe('quarantined');
  });

  it('never quarantines anybody on the votes of one member, however often and of whom it says so', () => {
    const vote = fc.record({ maker: fc.constantFrom('m', 'n', 'o'), pardons: fc.nat(9) });
    fc.assert(
      fc.property(fc.array(vote), fc.constantFrom('m', 'liar'), (votes, liar) => {
        const tribunal = new Tribunal('self');
        for (const { maker, pardons } of votes) {
          const standing = tribunal.vote({ id: maker, incarnation: '1' }, liar, pardons);
          expect(standing).toBe('trusted');
        }
        expect(tribunal.accused()).toEqual([]);
      }),
    );
  });

  it('hears no maker about itself, and has no evidence against its own process', () => {
    const tribunal = new Tribunal('m');
    expect(tribunal.vote(MAKER, 'm', 0)).toBe('trusted');
    expect(tribunal.witness(MAKER)).toBe('trusted');
  });

  it('judges each process of an id by itself', () => {
    const tribunal = new Tribunal('self');
    tribunal.vote(MAKER, 'a', 0);
    expect(tribunal.vote({ ...MAKER, incarnation: '2' }, 'b', 0)).toBe('trusted');
  });

  it('forgets the votes from before a pardon, also those that come later, and counts new ones', () => {
    const tribunal = new Tribunal('self');
    tribunal.witness(MAKER);
    tribunal.vote(MAKER, 'a', 0);
    expect(tribunal.pardon(MAKER, 1)).toBe(true);
    expect(tribunal.pardon(MAKER, 1)).toBe(false);
    expect(tribunal.standingOf(MAKER)).toBe('trusted');
    expect(tribunal.vote(MAKER, 'a', 0)).toBe('trusted');
    expect(tribunal.vote(MAKER, 'b', 0)).toBe('trusted');
    tribunal.vote(MAKER, 'a', 1);
    expect(tribunal.vote(MAKER, 'b', 1)).toBe('quarantined');
  });

  it('remembers a bounded number of makers and voters', () => {
    const tribunal = new Tribunal('self');
    for (let i = 0; i < 3_000; i++) {
      tribunal.vote({ id: `m${i}`, incarnation: '1' }, 'a', 0);
      tribunal.vote({ id: `m${i}`, incarnation: '1' }, 'b', 0);
      tribunal.vote({ id: 'm2999', incarnation: '1' }, `voter ${i}`, 0);
    }
    const accused = tribunal.accused();
    expect(accused.length).toBeLessThanOrEqual(1_024);
    expect(Math.max(...accused.map(({ voters }) => voters.length))).toBeLessThanOrEqual(16);
  });
});
