import type { Transport } from '../../src/bus/transport.js';
import type { Clock, Timer } from '../../src/clock.js';
import type { WorkerConfig } from '../../src/config/worker-config.js';
import { Refused } from '../../src/errors.js';
import type { Log } from '../../src/log.js';
import type { WorkerFault } from '../../src/protocol/worker.js';
import type { Surroundings } from '../../src/surroundings.js';
import { Corruption } from './corruption.js';
import { Cut } from './cut.js';
import { cuttableNetwork } from './cuttable-network.js';
import { cuttableTransport } from './cuttable-transport.js';

/** The faults that a worker has for a while where `--allow-chaos` allows them, because a coordinator ordered them for an operator. */

/** Time for the answer to the order to get out. @internal exported for tests. */
export const ANSWER_MS = 250;

export interface WorkerFaultsOptions {
  readonly clock: Clock;
  readonly log: Log;
}

/** The faults that a worker may have, and its transport and machine as the faults leave them. */
interface Disturbable {
  /** Null: none. */
  readonly faults: WorkerFaults | null;
  readonly transport: Transport;
  readonly surroundings: Surroundings;
}

/** Without `--allow-chaos` nothing stands between a worker and its transport and machine. */
export function allowedFaults(
  { allowChaos }: Pick<WorkerConfig, 'allowChaos'>,
  options: WorkerFaultsOptions,
  transport: Transport,
  surroundings: Surroundings,
): Disturbable {
  if (!allowChaos) return { faults: null, transport, surroundings };
  const faults = new WorkerFaults(options);
  const network = cuttableNetwork(surroundings.network, faults.cut);
  return {
    faults,
    transport: cuttableTransport(transport, faults.cut),
    surroundings: { ...surroundings, network },
  };
}

export class WorkerFaults {
  readonly cut = new Cut();
  readonly corruption = new Corruption();
  private readonly timers = new Map<WorkerFault, Timer>();

  constructor(private readonly options: WorkerFaultsOptions) {}

  /** Begins a fault, which ends by itself. @throws Refused if the worker has it already */
  begin(fault: WorkerFault, seconds: number, by: string): void {
    if (this.timers.has(fault))
      throw new Refused(`cannot begin the fault '${fault}': this worker has it already; wait until it is over`);
    const { clock, log } = this.options;
    const later = (delayMs: number, then: () => void) => this.timers.set(fault, clock.after(delayMs, then));
    later(ANSWER_MS, () => {
      log.warn({ fault, seconds, by }, 'begins a fault by order');
      this.set(fault, true);
      later(seconds * 1_000, () => {
        this.timers.delete(fault);
        this.set(fault, false);
        log.warn({ fault }, 'the fault is over');
      });
    });
  }

  /** Ends all faults at once. */
  stop(): void {
    for (const [fault, timer] of this.timers) {
      timer.cancel();
      this.set(fault, false);
    }
    this.timers.clear();
  }

  private set(fault: WorkerFault, active: boolean): void {
    if (fault === 'corrupt') this.corruption.active = active;
    else if (active) this.cut.begin();
    else this.cut.end();
  }
}
