import { type MemorySample, type MemoryTrend, memoryTrend } from './memory-trend.js';
import { type NamedProcess, residentMib } from './resident.js';

/** The memory of processes during a long run, each by itself: in a sum, a restarted process would hide the growth of the others. */

/** Share of the run before memory is evaluated: caches fill, code is compiled, and heaps find their size. */
const WARM_UP = 0.5;
/** Periods of the evaluated part of the run. */
const PERIODS = 15;
/** Growth that counts as none in addition to the noise, as a share of the memory: the rest of the warm-up. */
const TOLERANCE = 0.03;

/** How the memory of one process went. */
export interface JudgedProcess extends NamedProcess, MemoryTrend {
  /** Above 1 the process leaks. */
  readonly growthOverNoise: number;
}

export class MemoryWatch {
  private readonly series = new Map<number, { readonly name: string; readonly samples: MemorySample[] }>();
  private rounds = 0;

  /** @param runMs length of the run */
  constructor(private readonly runMs: number) {}

  /** Measures these processes. `atMs`: since the beginning of the run. A process that has just ended is left out. */
  sample(atMs: number, processes: readonly NamedProcess[], measure = (pid: number) => residentMib([pid])): void {
    if (atMs < WARM_UP * this.runMs) return;
    this.rounds++;
    for (const { pid, name } of processes) {
      const samples = this.series.get(pid)?.samples ?? [];
      try {
        samples.push({ atMs, mib: measure(pid) });
      } catch {
        continue;
      }
      this.series.set(pid, { name, samples });
    }
  }

  /** The processes that ran during the whole evaluated part, the one that grew most against its noise first. */
  judge(): JudgedProcess[] {
    const periodMs = ((1 - WARM_UP) * this.runMs) / PERIODS;
    return [...this.series]
      .filter(([, { samples }]) => samples.length === this.rounds)
      .flatMap(([pid, { name, samples }]) => {
        const trend = memoryTrend(samples, periodMs);
        return trend === null ? [] : [{ pid, name, ...trend, growthOverNoise: growthOverNoise(trend) }];
      })
      .sort((a, b) => b.growthOverNoise - a.growthOverNoise);
  }
}

function growthOverNoise({ medianMib, growthMib, noiseMib }: MemoryTrend): number {
  return Math.max(0, growthMib) / (noiseMib + TOLERANCE * medianMib);
}
