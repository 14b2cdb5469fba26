import { describe, expect, it } from 'vitest';
import {
  COUNTED_SEGMENTS,
  HEAT_MS,
  LISTED_SEGMENTS,
  SegmentHeat,
  segmentChanges,
} from '../../../../coordinator/console/segment-heat.js';
import { SimulatedClock } from '../../../../src/clock.js';
import { BLOCK_TOKENS, SEGMENT_BLOCKS } from '../../../../src/limits.js';
import { chain } from '../../workers/support/cache.js';

/** Tokens of whole blocks that were found. */
const found = (blocks: number) => ({ local: blocks * BLOCK_TOKENS, remote: 0, computed: 7 });

describe('the heat of segments', () => {
  it('counts the segments that requests find, and shows their homes and holders', () => {
    const heat = new SegmentHeat(new SimulatedClock(), {
      holders: (key) => (key === blocks[0]!.key ? ['w1', 'w3'] : ['w2']),
      homes: () => ['w1', 'w2'],
    });
    const blocks = chain('prompt', SEGMENT_BLOCKS + 2);
    heat.used(blocks, found(0));
    heat.used(blocks, found(SEGMENT_BLOCKS));
    heat.used(blocks, { local: BLOCK_TOKENS, remote: (SEGMENT_BLOCKS + 1) * BLOCK_TOKENS, computed: 0 });
    expect(heat.list()).toEqual([
      { id: blocks[0]!.key.slice(0, 12), hits: 2, blocks: 8, homes: ['w1', 'w2'], holders: ['w1', 'w3'] },
      { id: blocks[8]!.key.slice(0, 12), hits: 1, blocks: 2, homes: ['w1', 'w2'], holders: ['w2'] },
    ]);
  });

  it('cools down, and forgets what no worker has', async () => {
    const clock = new SimulatedClock();
    let holders = ['w1'];
    const heat = new SegmentHeat(clock, { holders: () => holders, homes: () => [] });
    const [hot, old] = [chain('hot', 1), chain('old', 1)];
    for (let i = 0; i < 100; i++) heat.used(old, found(1));
    await clock.advance(3 * HEAT_MS);
    for (let i = 0; i < 10; i++) heat.used(hot, found(1));
    expect(heat.list().map(({ hits }) => hits)).toEqual([10, 5]);
    holders = [];
    expect(heat.list()).toEqual([]);
  });

  it('counts a bounded number, and lists a bounded number of the hottest', () => {
    let asked = 0;
    const heat = new SegmentHeat(new SimulatedClock(), {
      holders: () => {
        asked++;
        return asked <= COUNTED_SEGMENTS ? [] : ['w1'];
      },
      homes: () => [],
    });
    for (let i = 0; i < COUNTED_SEGMENTS + LISTED_SEGMENTS; i++) heat.used(chain(`p${i}`, 1), found(1));
    heat.list();
    expect(asked).toBe(COUNTED_SEGMENTS);
    expect(heat.list()).toHaveLength(LISTED_SEGMENTS);
  });

  it('tells only what has changed', () => {
    const segment = (id: string, hits: number) => ({ id, hits, blocks: 1, homes: [], holders: ['w1'] });
    expect(segmentChanges([segment('a', 1), segment('b', 2)], [segment('b', 3), segment('c', 1)])).toEqual({
      segments: [segment('b', 3), segment('c', 1)],
      gone: ['a'],
    });
    expect(segmentChanges([segment('a', 1)], [segment('a', 1)])).toBeNull();
  });
});
