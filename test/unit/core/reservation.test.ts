import { describe, expect, it } from 'vitest';
import { reservation } from '../../../src/core/reservation.js';
import { InternalError } from '../../../src/errors.js';

describe('a reservation', () => {
  const ended: unknown[][] = [];
  const memory = new Uint8Array(4);
  const open = () => {
    ended.length = 0;
    return reservation('key', memory, {
      commit: (digest: string) => {
        ended.push(['commit', digest]);
        return 7;
      },
      abort: () => void ended.push(['abort']),
    });
  };

  it("hands out its memory, and the owner's result of the commit", () => {
    const reserved = open();
    expect(reserved.memory).toBe(memory);
    expect(reserved.commit('digest')).toBe(7);
    expect(ended).toEqual([['commit', 'digest']]);
  });

  it.each(['commit', 'abort'] as const)('is ended once, by %s', (first) => {
    const reserved = open();
    if (first === 'commit') reserved.commit('digest');
    else reserved.abort();
    expect(() => reserved.commit('again')).toThrow(InternalError);
    expect(() => reserved.abort()).toThrow('cannot abort the reservation of block key: it was ended before');
    expect(ended).toHaveLength(1);
  });
});
