import type { SealedBlock } from '../../src/core/block.js';
import type { PrefixRequest } from '../../src/engine/prefix-cache.js';
import type { CostModel } from './cost-model.js';
import type { EventQueue } from './event-queue.js';
import type { ReplayedWorker } from './replayed-worker.js';
import { TRACE_BLOCK_TOKENS } from './trace.js';

/** The timing of a replayed worker's engine: one prefill at a time, and a limited number of concurrent answers. */

/** The outcome of a prefill. */
export interface Prefilled {
  readonly hitBlocks: number;
  readonly fetchedBlocks: number;
  /** New blocks that the worker kept. */
  readonly computed: readonly SealedBlock[];
}

/** A request of a worker. */
interface Job {
  readonly prefix: PrefixRequest;
  readonly outputTokens: number;
  prefilled(outcome: Prefilled): void;
  done(): void;
  /** The worker died before that. */
  lost(): void;
}

export class Prefiller<T> {
  private readonly line: { readonly of: T; readonly job: Job }[] = [];
  /** Requests that have begun and not ended. */
  private readonly running = new Map<Job, T>();
  private prefilling = false;
  private ended = false;

  constructor(
    private readonly worker: ReplayedWorker,
    private readonly clock: EventQueue,
    private readonly cost: CostModel,
    private readonly sequences: number,
  ) {}

  add(of: T, job: Job): void {
    this.line.push({ of, job });
    this.next();
  }

  /** The worker has died. Returns the requests without a first token; the others count as answered. */
  end(): T[] {
    this.ended = true;
    const lost = [...[...this.running].map(([job, of]) => ({ of, job })), ...this.line.splice(0)];
    for (const { job } of lost) job.lost();
    this.running.clear();
    return lost.map(({ of }) => of);
  }

  private next(): void {
    if (this.prefilling || this.ended || this.running.size >= this.sequences) return;
    const first = this.line.shift();
    if (first === undefined) return;
    this.prefilling = true;
    this.running.set(first.job, first.of);
    this.clock.after(0, () => this.prefill(first.job));
  }

  private async prefill(job: Job): Promise<void> {
    if (this.ended) return;
    const { clock, cost } = this;
    const { blocks } = job.prefix;
    const loaded = await this.worker.load(job.prefix);
    const computedTokens = (blocks.length - loaded.blocks) * TRACE_BLOCK_TOKENS + 1;
    clock.after(loaded.fetchMs + computedTokens * cost.computeMsPerToken, () => {
      const computed = loaded.end();
      this.prefilling = false;
      if (this.ended) return;
      job.prefilled({ hitBlocks: loaded.blocks, fetchedBlocks: loaded.fetchedBlocks, computed });
      clock.after(job.outputTokens * cost.decodeMsPerStep, () => this.finish(job));
      this.next();
    });
  }

  private finish(job: Job): void {
    if (!this.running.delete(job)) return;
    job.done();
    this.next();
  }
}
