import { type Load, loadOfOthers, NO_LOAD, sumOf } from '../src/core/load.js';

/** The load of each worker: the requests that this coordinator placed there, and the others'. */
export class InFlight {
  /** Placed by this coordinator and not ended, by worker. */
  private readonly own = new Map<string, { requests: number; computeTokens: number }>();
  /** Placed by other coordinators, as of each worker's last announcement. */
  private readonly others = new Map<string, Load>();

  /** All load, by worker. */
  get loads(): ReadonlyMap<string, Load> {
    const loads = new Map<string, Load>(this.others);
    for (const [worker, load] of this.own) loads.set(worker, sumOf(load, this.others.get(worker) ?? NO_LOAD));
    return loads;
  }

  /** To be called with each announcement of a worker's load when it is heard. */
  announced(worker: string, load: Load): void {
    const others = loadOfOthers(load, this.own.get(worker) ?? NO_LOAD);
    if (others.requests === 0 && others.computeTokens === 0) this.others.delete(worker);
    else this.others.set(worker, others);
  }

  /** To be called when a worker is gone: it announces nothing any more. */
  gone(worker: string): void {
    this.others.delete(worker);
  }

  /** Adds a request. The returned functions, both idempotent, record the end of its prefill and of the request. */
  add(worker: string, computeTokens: number): { prefilled(): void; done(): void } {
    const load = this.own.get(worker) ?? { requests: 0, computeTokens: 0 };
    this.own.set(worker, load);
    load.requests++;
    load.computeTokens += computeTokens;
    let unprefilled = computeTokens;
    let open = true;
    const prefilled = () => {
      load.computeTokens -= unprefilled;
      unprefilled = 0;
    };
    const done = () => {
      prefilled();
      if (!open) return;
      open = false;
      load.requests--;
      if (load.requests === 0 && this.own.get(worker) === load) this.own.delete(worker);
    };
    return { prefilled, done };
  }
}
