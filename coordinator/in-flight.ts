import type { PlacedLoad as Load } from '../src/core/placement.js';

/** Load that this coordinator has placed on each worker and that has not ended yet. */
export class InFlight {
  private readonly loads = new Map<string, { requests: number; computeTokens: number }>();

  get loadsByWorker(): ReadonlyMap<string, Load> {
    return this.loads;
  }

  /** Adds a request. The returned functions, both idempotent, record the end of its prefill and of the request. */
  add(worker: string, computeTokens: number): { prefilled(): void; done(): void } {
    const load = this.loads.get(worker) ?? { requests: 0, computeTokens: 0 };
    this.loads.set(worker, load);
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
      if (load.requests === 0 && this.loads.get(worker) === load) this.loads.delete(worker);
    };
    return { prefilled, done };
  }
}
