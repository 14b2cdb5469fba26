import { appendFileSync, existsSync, readFileSync, statSync, truncateSync } from 'node:fs';
import type { SeedResult } from './run-seed.js';

/** A file of the seeds that were run, so that many of them can be run in several sittings. */

/** A line for each seed: its number, the hash of its trace, and whether it passed. */
const LINE = /^(\d+) ([0-9a-f]{16}) (passed|failed)$/;

export class SeedRecord {
  private readonly seeds = new Map<number, 'passed' | 'failed'>();

  /** Reads the record; a missing file is an empty one. @throws Error for a line that is not of a record */
  constructor(private readonly path: string) {
    if (!existsSync(path)) return;
    const lines = readFileSync(path, 'utf8').split('\n');
    // The last line may have been cut off when the process was killed.
    const rest = lines.pop()!;
    if (rest !== '') truncateSync(path, statSync(path).size - Buffer.byteLength(rest));
    for (const [i, line] of lines.entries()) {
      const found = LINE.exec(line);
      if (!found) throw new Error(`${path}:${i + 1}: not a line of a record of seeds; give another file`);
      this.seeds.set(Number(found[1]), found[3] as 'passed' | 'failed');
    }
  }

  get size(): number {
    return this.seeds.size;
  }

  get failing(): number[] {
    return [...this.seeds].flatMap(([seed, outcome]) => (outcome === 'failed' ? [seed] : [])).sort((a, b) => a - b);
  }

  has(seed: number): boolean {
    return this.seeds.has(seed);
  }

  add({ seed, traceHash, violations }: SeedResult): void {
    const outcome = violations.length === 0 ? 'passed' : 'failed';
    this.seeds.set(seed, outcome);
    appendFileSync(this.path, `${seed} ${traceHash} ${outcome}\n`);
  }
}
