import { describe, expect, it } from 'vitest';
import { MemoryWatch } from '../../../../bench/chaos/memory-watch.js';
import { SeededRandom } from '../../../../src/random.js';

const RUN_MIN = 30;
const RUNS = 40;
/** Of as many runs, those that may be judged wrongly. */
const BY_CHANCE = RUNS / 20;

/** Memory in MiB at a time in minutes. */
type Memory = (atMin: number) => number;

describe('the watch of memory', () => {
  /** How the growth of a process is judged in runs of half an hour, each with other garbage. */
  function judgements(memory: Memory): number[] {
    return Array.from({ length: RUNS }, (_, run) => {
      const garbage = garbageOf(new SeededRandom(run));
      const watch = new MemoryWatch(RUN_MIN * 60_000);
      for (let second = 0; second < RUN_MIN * 60; second++) {
        watch.sample(second * 1_000, [{ pid: 1, name: 'coordinator-1' }], () => memory(second / 60) + garbage());
      }
      return watch.judge()[0]!.growthOverNoise;
    });
  }

  /** As that of V8: it grows until it is collected, after 2 to 20 s, and the heap's size wanders by a few MiB. */
  function garbageOf(random: SeededRandom): () => number {
    let garbage = 0;
    let left = 0;
    let wandering = 0;
    return () => {
      if (left-- <= 0) {
        garbage = 0;
        left = 2 + random.below(19);
        wandering = 0.9 * wandering + 3 * (random.next() - 0.5);
      }
      garbage += 2;
      return garbage + wandering;
    };
  }

  const leaks = (judged: readonly number[]) => judged.filter((each) => each > 1).length;

  it('takes garbage and a warm-up for what they are', () => {
    expect(leaks(judgements(() => 180))).toBeLessThanOrEqual(BY_CHANCE);
    expect(leaks(judgements((atMin) => 180 + 60 * (1 - Math.exp(-atMin / 4))))).toBeLessThanOrEqual(BY_CHANCE);
    expect(leaks(judgements((atMin) => 180 + 7 * Math.log(1 + atMin)))).toBeLessThanOrEqual(BY_CHANCE);
  });

  it('finds a leak of one MiB a minute, with and without a warm-up', () => {
    expect(leaks(judgements((atMin) => 180 + atMin))).toBeGreaterThanOrEqual(RUNS - BY_CHANCE);
    const warming = (atMin: number) => 180 + atMin + 60 * (1 - Math.exp(-atMin / 4));
    expect(leaks(judgements(warming))).toBeGreaterThanOrEqual(RUNS - BY_CHANCE);
  });

  it('judges only what lives through the second half, the worst first', () => {
    const watch = new MemoryWatch(60_000);
    const mib = new Map([
      [1, () => 100],
      [2, (second: number) => 100 + second],
      [3, (second: number) => 100 + 9 * second],
    ]);
    for (let second = 0; second < 60; second++) {
      const living = [...mib.keys()].filter((pid) => pid !== 3 || second < 50);
      const measure = (pid: number) => {
        if (pid === 4) throw new Error('it has ended');
        return mib.get(pid)!(second);
      };
      const processes = [...living, 4].map((pid) => ({ pid, name: `process ${pid}` }));
      watch.sample(second * 1_000, processes, measure);
    }
    expect(watch.judge().map(({ name }) => name)).toEqual(['process 2', 'process 1']);
  });

  it('judges nothing where nothing was measured', () => {
    expect(new MemoryWatch(60_000).judge()).toEqual([]);
  });
});
