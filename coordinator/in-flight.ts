import type { PlacedLoad as Load } from '../src/core/placement.js';

/** What this coordinator has placed at each worker and not yet seen answered. */
export class InFlight {
  private readonly loads = new Map<string, { requests: number; computeTokens: number }>();

  get loadsByWorker(): ReadonlyMap<string, Load> {
    return this.loads;
  }

  /** Counts a request in. Both functions that it gives are idempotent. */
  add(worker: string, computeTokens: number): { prefilled(): void; done(): void } {
    const load = this.loads.get(worker) ?? { requests: 0, computeTokens: 0 };
    this.loads.set(worker, load);
    load.requests++;
    load.computeTokens += computeTokens;
    let toCompute = computeTokens;
    let open = true;
    const prefilled = () => {
      load.computeTokens -= toCompute;
      toCompute = 0;
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
