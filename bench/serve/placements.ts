import { createHash } from 'node:crypto';
import type { Random } from '../../src/random.js';

/** Ways to choose a worker without knowledge of its cache, for comparison with the coordinator's choice. */

export const PLACEMENTS = ['cost', 'round-robin', 'random', 'prefix-hash'] as const;
export type Placement = (typeof PLACEMENTS)[number];

/** The tokens at the beginning of a prompt that `prefix-hash` looks at. */
const HASHED_TOKENS = 256;
/** With bounded load, no worker gets more than this many times the average (Mirrokni et al., Consistent hashing with bounded loads, 2018). */
const LOAD_FACTOR = 1.25;

/** Chooses the worker of each request for one load. `cost` leaves it to the coordinator. */
export class Placer {
  private turn = 0;
  private readonly running = new Map<string, number>();

  constructor(
    private readonly placement: Placement,
    private readonly workers: readonly string[],
    private readonly random: Random,
  ) {}

  /** The worker of a request that starts now; null for any. Call `ended` at its end. */
  begin(prompt: readonly number[]): string | null {
    const worker = this.choose(prompt);
    if (worker !== null) this.running.set(worker, this.load(worker) + 1);
    return worker;
  }

  ended(worker: string | null): void {
    if (worker !== null) this.running.set(worker, this.load(worker) - 1);
  }

  private choose(prompt: readonly number[]): string | null {
    const { workers } = this;
    switch (this.placement) {
      case 'cost':
        return null;
      case 'round-robin':
        return workers[this.turn++ % workers.length]!;
      case 'random':
        return workers[this.random.below(workers.length)]!;
      case 'prefix-hash':
        return this.hashed(prompt);
    }
  }

  /** The first worker with room, in an order that the hash gives (rendezvous hashing). */
  private hashed(prompt: readonly number[]): string {
    const head = prompt.slice(0, HASHED_TOKENS).join();
    const rank = (worker: string) => createHash('sha256').update(`${worker} ${head}`).digest('hex');
    const order = this.workers.toSorted((a, b) => rank(a).localeCompare(rank(b)));
    const total = order.reduce((sum, worker) => sum + this.load(worker), 0) + 1;
    const most = Math.ceil((LOAD_FACTOR * total) / order.length);
    return order.find((worker) => this.load(worker) < most) ?? order[0]!;
  }

  private load(worker: string): number {
    return this.running.get(worker) ?? 0;
  }
}
