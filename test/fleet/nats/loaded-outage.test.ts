import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chunksOf } from '../../../bench/fleet/chunks.js';
import { type PlainNats, plainNats } from '../../../bench/fleet/plain-nats.js';
import { RecallLoad } from '../../../bench/fleet/recall-load.js';
import { type RecallSheet, recallPrompt, recallSheet } from '../../../bench/fleet/recall-sheet.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import { Fleet } from '../support/fleet.js';

/** NATS is away while clients ask: the fleet serves as before, over its direct connections. */

const CLIENTS = 6;
const WARM_UP_MS = 6_000;
const UNDISTURBED_MS = 10_000;
/** A NATS that hangs is the harder case: its connections stay open. */
const OUTAGE_MS = { stopped: 60_000, killed: 20_000 };
const LEAST_SHARE = 0.9;
/** Of the sheet that each outage sees first. */
const SEEDS = { stopped: 90, killed: 91 };

interface Health {
  readonly http: number;
  readonly status: string;
  readonly degraded?: string;
}

describe('a fleet under load while NATS is away', () => {
  let dir: string;
  let path: string;
  let nats: PlainNats;
  let fleet: Fleet;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    path = (await findNatsServer()).path;
    nats = await started();
  });
  afterEach(async () => {
    await fleet?.stop();
    await nats?.stop('SIGKILL');
    await rm(dir, { recursive: true, force: true });
  });

  async function fleetOf(workers: number): Promise<Fleet> {
    fleet = await Fleet.up(['--workers', String(workers), '--replicas', '2', '--nats', nats.url]);
    return fleet;
  }

  function started(args: readonly string[] = []): Promise<PlainNats> {
    return plainNats(path, ['-js', '-sd', join(dir, 'store'), ...args]);
  }

  async function health(): Promise<Health> {
    const response = await fetch(`${fleet.url}/health/ready`);
    return { http: response.status, ...((await response.json()) as Omit<Health, 'http'>) };
  }

  /** Every answer of the health check until one has this status, or says that the fleet is not ready: that one last. */
  async function healthUntil(status: string): Promise<Health[]> {
    const seen = [await health()];
    while (seen.at(-1)!.status !== status && seen.at(-1)!.http === 200) seen.push(await health());
    return seen;
  }

  /** Has a new sheet computed, and counts the workers that the coordinator comes to know as its holders, before `end` resolves: 2 at most. */
  async function holdersLearned({ notes }: RecallSheet, end: Promise<unknown>): Promise<number> {
    let over = false;
    void end.then(() => {
      over = true;
    });
    await fleet.complete({ prompt: notes });
    let holders = 0;
    while (holders < 2 && !over) holders = (await fleet.holders(notes)).size;
    return holders;
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

  it('for a minute, and again: answers as fast as before, all right, and keeps its workers', async () => {
    await fleetOf(2);
    const pids = await fleet.pids();
    const load = new RecallLoad(fleet, CLIENTS, 100);
    try {
      await pause(WARM_UP_MS);
      let before = await load.during(pause(UNDISTURBED_MS));
      for (const outage of ['stopped', 'killed'] as const) {
        const directBefore = await fleet.calls('direct');

        const back = await outages[outage]();
        const during = load.during(pause(OUTAGE_MS[outage]));
        const seen = await healthUntil('degraded');
        const holders = await holdersLearned(recallSheet(48, SEEDS[outage]), during);
        const { requests, requestsPerCpuSecond, cachedShare } = await during;
        seen.push(await health());
        const direct = (await fleet.calls('direct')) - directBefore;
        await back();
        seen.push(...(await healthUntil('ok')));
        const after = await load.during(pause(UNDISTURBED_MS));

        expect(seen.filter(({ http }) => http !== 200)).toEqual([]);
        // Before the outage was noticed, until NATS was back, and afterwards.
        expect(seen.map(({ degraded }) => degraded ?? '').join(' ')).toMatch(/^ *(nats ?)+ *$/);
        // All but those that were under way when the outage began.
        expect(direct).toBeGreaterThanOrEqual(requests - CLIENTS);
        expect(holders).toBe(2);
        expect(await fleet.pids()).toEqual(pids);
        expect(load.failed).toEqual([]);
        // Other work of the machine also slows a fleet by the caches that it shares.
        const undisturbed = Math.min(before.requestsPerCpuSecond, after.requestsPerCpuSecond);
        expect(requestsPerCpuSecond).toBeGreaterThan(LEAST_SHARE * undisturbed);
        expect(cachedShare).toBeGreaterThan(LEAST_SHARE * before.cachedShare);
        before = after;
      }
    } finally {
      await load.stop();
    }
    expect(load.failed).toEqual([]);
    expect(await load.wrong()).toEqual([]);
  }, 300_000);

  it.each(['stopped', 'killed'] as const)('%s: a worker that is killed meanwhile costs no request', async (outage) => {
    await fleetOf(3);
    const sheet = recallSheet(16, 6);
    const long = (seed: number) => {
      const prompt = recallPrompt(sheet, sheet.questions[seed]!.question);
      return { model: 'recall', prompt, max_tokens: 400, ignore_eos: true, temperature: 0.8, seed };
    };
    const seeds = [1, 2, 3, 4];
    const undisturbed = await Promise.all(
      seeds.map(async (seed) => (await fleet.complete(long(seed))).choices[0]!.text),
    );
    const before = await fleet.workers();
    const load = new RecallLoad(fleet, CLIENTS, 100);
    try {
      const streams = seeds.map(async (seed) => {
        let text = '';
        const response = await fleet.post('/v1/completions', { ...long(seed), stream: true });
        for await (const chunk of chunksOf(response)) text += chunk.choices[0]?.text ?? '';
        return text;
      });
      const texts = Promise.allSettled(streams);
      const busy = await fleet.until((all) => all.some(({ running }) => running > 0));
      const victim = busy.find(({ running }) => running > 0)!;
      const back = await outages[outage]();
      if (outage === 'killed') await healthUntil('degraded');
      process.kill(victim.pid, 'SIGKILL');

      expect(await texts).toEqual(undisturbed.map((value) => ({ status: 'fulfilled', value })));
      await load.more(100);
      await back();
      const after = await fleet.until((all) => all.filter(({ state }) => state === 'serving').length === 3);
      const others = (rows: typeof before) => rows.filter(({ id }) => id !== victim.id).map(({ pid }) => pid);
      expect(others(after)).toEqual(others(before));
    } finally {
      await load.stop();
    }
    expect(load.failed).toEqual([]);
    expect(await load.wrong()).toEqual([]);
  });
});
