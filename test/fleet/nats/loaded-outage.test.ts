import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import { Fleet } from '../support/fleet.js';
import { type PlainNats, plainNats } from '../support/plain-nats.js';
import { RecallLoad, type Stretch } from '../support/recall-load.js';

/** NATS is away for a minute while clients ask: the fleet serves as before, over its direct connections. */

const CLIENTS = 6;
const WARM_UP_MS = 8_000;
const UNDISTURBED_MS = 15_000;
const OUTAGE_MS = 60_000;
/** The rate of a run on a machine with other work is not steady. */
const LEAST_SHARE = 0.9;

interface Health {
  readonly http: number;
  readonly status: string;
  readonly degraded?: string;
}

describe('a fleet under load while NATS is away for a minute', () => {
  let dir: string;
  let path: string;
  let nats: PlainNats;
  let fleet: Fleet;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    path = (await findNatsServer()).path;
    nats = await started();
    fleet = await Fleet.up(['--workers', '2', '--replicas', '2', '--nats', nats.url]);
  });
  afterEach(async () => {
    await fleet?.stop();
    await nats?.stop('SIGKILL');
    await rm(dir, { recursive: true, force: true });
  });

  function started(args: readonly string[] = []): Promise<PlainNats> {
    return plainNats(path, ['-js', '-sd', join(dir, 'store'), ...args]);
  }

  async function health(): Promise<Health> {
    const response = await fetch(`${fleet.url}/health/ready`);
    return { http: response.status, ...((await response.json()) as Omit<Health, 'http'>) };
  }

  /** Every answer of the health check until one has this status, that one last. */
  async function healthUntil(status: string): Promise<Health[]> {
    const seen: Health[] = [];
    while (seen.at(-1)?.status !== status) seen.push(await health());
    return seen;
  }

  async function directCalls(): Promise<number> {
    const text = await (await fetch(`${fleet.url}/metrics`)).text();
    return Number(/^shoal_calls_total\{path="direct"\} (\d+)$/m.exec(text)![1]);
  }

  async function pids(): Promise<number[]> {
    return (await fleet.workers()).map(({ pid }) => pid);
  }

  const outages = {
    stopped: async () => {
      process.kill(nats.pid, 'SIGSTOP');
      return async () => void process.kill(nats.pid, 'SIGCONT');
    },
    killed: async () => {
      await nats.stop('SIGKILL');
      return async () => {
        nats = await started(['-p', new URL(nats.url).port]);
      };
    },
  };

  it('answers as many requests per second as before, all of them right, and keeps its workers', async () => {
    const workers = await pids();
    const load = new RecallLoad(fleet, CLIENTS, 100);
    const serves = async (end: Promise<unknown>): Promise<Stretch> => {
      const stretch = await load.during(end);
      expect(load.failed).toEqual([]);
      return stretch;
    };
    try {
      await serves(pause(WARM_UP_MS));
      for (const outage of ['stopped', 'killed'] as const) {
        const before = await serves(pause(UNDISTURBED_MS));
        const directBefore = await directCalls();

        const over = pause(OUTAGE_MS);
        const back = await outages[outage]();
        const during = serves(over);
        const seen = await healthUntil('degraded');
        await over;
        seen.push(await health());
        const direct = (await directCalls()) - directBefore;
        await back();

        seen.push(...(await healthUntil('ok')));
        const after = await serves(pause(UNDISTURBED_MS));
        console.log(outage, before, await during, after);
        expect(seen.filter(({ http }) => http !== 200)).toEqual([]);
        expect(new Set(seen.map(({ degraded }) => degraded))).toEqual(new Set([undefined, 'nats']));
        expect(direct).toBeGreaterThan(0);
        expect(await pids()).toEqual(workers);
        expect((await during).requestsPerSecond).toBeGreaterThan(LEAST_SHARE * before.requestsPerSecond);
        expect((await during).cachedShare).toBeGreaterThan(LEAST_SHARE * before.cachedShare);
      }
    } finally {
      await load.stop();
    }
    expect(load.failed).toEqual([]);
    expect(await load.wrong()).toEqual([]);
  }, 300_000);
});
