import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PlainNats, plainNats } from '../../../bench/fleet/plain-nats.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import { Fleet } from './fleet.js';

/** A NATS that hangs is the harder case: its connections stay open. */
export const NATS_OUTAGES = ['stopped', 'killed'] as const;
export type NatsOutage = (typeof NATS_OUTAGES)[number];

/** An answer of the readiness check. */
export interface Health {
  readonly http: number;
  readonly status: string;
  readonly degraded?: string;
}

/** A fleet on a NATS server of its own, which a test can take away. */
export class FleetWithoutNats {
  private constructor(
    readonly fleet: Fleet,
    private readonly dir: string,
    private nats: PlainNats,
  ) {}

  /** Starts a server that stores in a folder of its own, and a fleet of so many workers with two copies of each block. */
  static async up(workers: number): Promise<FleetWithoutNats> {
    const dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    const nats = await startNats(dir);
    const fleet = await Fleet.up(['--workers', String(workers), '--replicas', '2', '--nats', nats.url]);
    return new FleetWithoutNats(fleet, dir, nats);
  }

  /** Takes the server away. Resolves with a function that brings it back. */
  async loseNats(outage: NatsOutage): Promise<() => Promise<void>> {
    if (outage === 'stopped') {
      process.kill(this.nats.pid, 'SIGSTOP');
      return async () => void process.kill(this.nats.pid, 'SIGCONT');
    }
    await this.nats.stop('SIGKILL');
    return async () => {
      this.nats = await startNats(this.dir, ['-p', new URL(this.nats.url).port]);
    };
  }

  async health(): Promise<Health> {
    const response = await fetch(`${this.fleet.url}/health/ready`);
    return { http: response.status, ...((await response.json()) as Omit<Health, 'http'>) };
  }

  /** Every answer of the health check until one has this status, or says that the fleet is not ready: that one last. */
  async healthUntil(status: string): Promise<Health[]> {
    const seen = [await this.health()];
    while (seen.at(-1)!.status !== status && seen.at(-1)!.http === 200) seen.push(await this.health());
    return seen;
  }

  async stop(): Promise<void> {
    await this.fleet.stop();
    await this.nats.stop('SIGKILL');
    await rm(this.dir, { recursive: true, force: true });
  }
}

async function startNats(dir: string, args: readonly string[] = []): Promise<PlainNats> {
  return plainNats((await findNatsServer()).path, ['-js', '-sd', join(dir, 'store'), ...args]);
}
