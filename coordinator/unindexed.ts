import type { Clock } from '../src/clock.js';
import type { BlockKey } from '../src/core/block.js';
import type { Holdings } from '../src/core/holdings.js';

/** The placements whose prefill has ended but whose blocks the index may not know yet. */

/** How long promised blocks still count after their prefill before the index lists them: the worker may not have kept them. */
const PROMISE_GRACE_MS = 200;

export class Unindexed {
  /** By worker, the checks of its placements. */
  private readonly checks = new Map<string, Set<() => void>>();

  constructor(
    private readonly holdings: Pick<Holdings, 'holders'>,
    private readonly clock: Clock,
  ) {}

  /** To be called after the index applies a change of a worker's holdings. */
  changed(worker: string): void {
    for (const check of [...(this.checks.get(worker) ?? [])]) check();
  }

  /** Calls `then` once the index knows that the worker holds the block, or after `PROMISE_GRACE_MS`. */
  whenIndexed(worker: string, key: BlockKey | undefined, then: () => void): void {
    const checks = this.checks.get(worker) ?? new Set();
    this.checks.set(worker, checks);
    const end = () => {
      timer.cancel();
      checks.delete(check);
      if (checks.size === 0 && this.checks.get(worker) === checks) this.checks.delete(worker);
      then();
    };
    const check = () => {
      if (key === undefined || this.holdings.holders(key).includes(worker)) end();
    };
    const timer = this.clock.after(PROMISE_GRACE_MS, end);
    checks.add(check);
    check();
  }
}
