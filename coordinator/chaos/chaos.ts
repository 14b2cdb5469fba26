import { hostname } from 'node:os';
import type { Member } from '../../src/core/member.js';
import { Refused } from '../../src/errors.js';
import type { WorkerFault } from '../../src/protocol/worker.js';
import type { PoisonGuard } from '../poison/poison-guard.js';
import { type ProcessFaults, SignalFaults } from './process-faults.js';

/** Faults that people ask for, to watch the fleet heal: of processes of this machine, and of workers that obey such orders. */

/** Temporary faults of a worker's process. */
export type PassingFault = 'pause' | 'slow';

/** Orders a worker to have a fault for some seconds. Rejects with `Refused` if it does not obey such orders, or has the fault now. */
export type OrderFault = (worker: Member, fault: WorkerFault, seconds: number) => Promise<void>;

export interface ChaosOptions {
  readonly poison: Pick<PoisonGuard, 'killed'>;
  readonly faults: ProcessFaults;
  readonly order: OrderFault;
  /** The process of the server that this process has for NATS; null if it does not run on this machine. */
  readonly natsPid: () => Promise<number | null>;
}

/** `kill`, `disturb` and `stopNats` throw `Refused` for what runs on another machine, is gone, belongs to another user, or has such a fault now. */
export class Chaos {
  /** @internal exported for tests. */
  constructor(private readonly options: ChaosOptions) {}

  static bySignals(options: Omit<ChaosOptions, 'faults'>): Chaos {
    return new Chaos({ ...options, faults: new SignalFaults() });
  }

  /** Kills a worker with SIGKILL. Its death is not attributed to the prompts that ran there. */
  kill({ id, incarnation, host, pid }: Member): void {
    this.checkProcess(id, host, pid);
    this.options.faults.kill(pid);
    this.options.poison.killed(id, incarnation);
  }

  /**
   * Stops a worker, or makes it slow, for some seconds.
   * If it is silent for too long, the others declare it dead. That is not attributed to the prompts that ran there either.
   */
  disturb(fault: PassingFault, { id, incarnation, host, pid }: Member, seconds: number): void {
    this.checkProcess(id, host, pid);
    this.options.faults[fault](pid, seconds);
    this.options.poison.killed(id, incarnation);
  }

  /** Orders a worker, on any machine, to have a fault for some seconds. Its consequences are not attributed to the prompts that ran there. */
  async order(fault: WorkerFault, worker: Member, seconds: number): Promise<void> {
    await this.options.order(worker, fault, seconds);
    if (fault === 'cut-off') this.options.poison.killed(worker.id, worker.incarnation);
  }

  /** Stops the nats-server for some seconds. Its connections stay open without answers. */
  async stopNats(seconds: number): Promise<void> {
    const pid = await this.options.natsPid();
    if (pid === null) throw new Refused('cannot stop NATS: no process of this user on this machine is its server');
    this.options.faults.pause(pid, seconds);
  }

  private checkProcess(id: string, host: string, pid: number): void {
    if (host !== hostname()) throw new Refused(`cannot disturb worker '${id}': it runs on another machine, ${host}`);
    // Smaller numbers mean groups of processes, or the first process of a machine.
    if (pid <= 1) throw new Refused(`cannot disturb worker '${id}': it announces no process of its own`);
  }
}
