import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { brittleModel, CRASH_CHARACTER, CRASH_TOKEN } from '../../bench/chaos/brittle-model.js';
import type { MemberFleetOptions, MemberStart } from '../../bench/chaos/member-fleet.js';
import { unmet } from '../../bench/chaos/needs.js';
import { Prefixes, promptsOf } from '../../bench/chaos/prefixes.js';
import { synthesize } from '../../bench/synth/model-folder.js';
import { SYNTH_PRESETS } from '../../bench/synth/spec.js';
import { modelFolder } from '../../src/config/model-folder.js';
import { SystemRandom } from '../../src/random.js';
import { ROOT } from '../deploy/support/programs.js';
import { findPromtool } from '../deploy/support/promtool.js';
import { NatsProxy } from '../fleet/support/nats-proxy.js';
import { limitedMemory, memoryLimitMissing } from './support/limited-memory.js';
import { WatchedFleet } from './support/watched-fleet.js';

/** The alerts that need load, time or another network: each fault in a real fleet, the alert of a real Prometheus, the page's commands, and its fix. */

const promtool = await findPromtool();
if (promtool.path === null) console.warn(`skipping the tests of the alerts: ${promtool.why}`);
const noMemoryLimit = memoryLimitMissing();
if (noMemoryLimit !== null) console.warn(`skipping the test of ShoalMemoryHigh: ${noMemoryLimit}`);

const [A, B, C] = ['worker-1', 'worker-2', 'worker-3'] as const;
const ONE_COPY = { workers: 2, replicas: 1, proxied: true, workerArgs: ['--fetch', 'always'] };
/** Reads a metric that a page's command printed: the sum of the series that begin so. */
const printed = (said: string, series: string) =>
  said
    .split('\n')
    .filter((line) => line.startsWith(series))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);

let seed = 10_000;
/** A prompt that nobody has asked, of about 11 tokens a note. */
const fresh = (notes = 24) => promptsOf(notes, seed++)[0]!.prompt;

describe.skipIf(promtool.path === null)('an alert fires, its page leads to the fault, and the fix ends it:', () => {
  let fleet: WatchedFleet;
  const folder = mkdtempSync(join(tmpdir(), 'shoal-alerts-'));

  const up = async (options: MemberFleetOptions, own: Readonly<Record<string, MemberStart>> = {}) => {
    fleet = await WatchedFleet.up(promtool.path!, options, own);
    return fleet;
  };
  const ask = (prompt: string, worker: string, body: Record<string, unknown> = {}) =>
    fleet.api.complete({ prompt, ...body }, { 'x-shoal-worker': worker });
  /** Asks for an answer of 64 tokens, whatever comes. */
  const answer = async (signal: AbortSignal) => {
    const body = { model: 'recall', prompt: fresh(), temperature: 0, max_tokens: 64, ignore_eos: true };
    await (await fleet.api.post('/v1/completions', body, {}, signal)).text();
  };
  /** Has a fresh prompt computed by one worker, and asks another one, which fetches what it lacks. */
  const fetchOnce = async () => {
    const prompt = fresh();
    await ask(prompt, A);
    await ask(prompt, B);
  };

  afterEach(async () => {
    await fleet?.close();
  });
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
    if (promtool.path !== null && promtool.folder !== null) await rm(promtool.folder, { recursive: true });
  });

  it('ShoalPeerFetchesFail, of workers that cannot reach each other', async () => {
    const { members } = await up(ONE_COPY);
    for (let i = 0; i < 10; i++) await fetchOnce();
    expect(await fleet.prometheus.firing()).not.toContain('ShoalPeerFetchesFail');
    members.wires.setBoth(A, B, { kind: 'reset' });
    const said = await fleet.seen('ShoalPeerFetchesFail', B, fetchOnce);
    expect(printed(said, 'shoal_peer_fetch_failures_total{reason="unavailable"}')).toBeGreaterThan(0);
    members.wires.heal();
    await fleet.isOver('ShoalPeerFetchesFail', fetchOnce);
  });

  it('ShoalIntegrityFailure, of a network that flips bits', async () => {
    const { members } = await up(ONE_COPY);
    const random = new SystemRandom();
    members.wires.set(A, B, { kind: 'corrupt', everyBytes: 100_000, random });
    const said = await fleet.seen('ShoalIntegrityFailure', B, fetchOnce);
    expect(said).toContain(`peer="${A}"`);
    expect(said).not.toContain(' 0\n');
    members.wires.heal();
    await fleet.isOver('ShoalIntegrityFailure', fetchOnce);
  });

  it('ShoalUnderReplicated, of workers that cannot reach each other', async () => {
    const { members } = await up({ workers: 2, replicas: 2, proxied: true });
    members.wires.setBoth(A, B, { kind: 'reset' });
    const said = await fleet.seen('ShoalUnderReplicated', A, () => ask(fresh(), A));
    expect(printed(said, 'shoal_under_replicated_blocks')).toBeGreaterThan(0);
    expect(printed(said, 'shoal_replication_no_room_blocks')).toBe(0);
    expect(printed(said, 'shoal_peer_fetch_failures_total{reason="unavailable"}')).toBeGreaterThan(0);
    members.wires.heal();
    await fleet.isOver('ShoalUnderReplicated');
  });

  it('ShoalReplicationBehind, of a network that is slower than prefill', async () => {
    const model = join(folder, 'tiny');
    await synthesize(SYNTH_PRESETS.tiny, model);
    const args = ['--cache-bytes', '256MiB'];
    const { members } = await up({ workers: 2, replicas: 2, proxied: true, model, workerArgs: args });
    members.wires.setBoth(A, B, { kind: 'slow', bitsPerS: 1_000_000, delayMs: 1 });
    let asked = 0;
    const long = () => {
      const first = asked++;
      const prompt = Array.from({ length: 2_000 }, (_, i) => (first * 7919 + i * 104_729 + ((first * i) % 97)) % 511);
      return fleet.api.complete({ model: 'tiny', prompt, max_tokens: 1 }, { 'x-shoal-worker': A });
    };
    const said = await fleet.seen('ShoalReplicationBehind', A, long);
    expect(printed(said, 'shoal_replication_lag_blocks')).toBeGreaterThan(4_096);
    members.wires.heal();
    await fleet.isOver('ShoalReplicationBehind');
  });

  it('ShoalRingsDiffer, of a worker that does not hear NATS while another joins', async () => {
    const { members } = await up({ workers: 2 });
    const proxy = await NatsProxy.start(members.natsUrl);
    try {
      await members.members.get(B)!.stop();
      await fleet.startWorker(B, { args: ['--nats', proxy.url] });
      await fleet.isOver('ShoalRingsDiffer');
      proxy.hang();
      await members.startWorker(C);
      const said = await fleet.seen('ShoalRingsDiffer', B);
      const epochs = [...said.matchAll(/^shoal_ring_epoch (\d+)$/gm)].map(([, epoch]) => epoch);
      expect(new Set(epochs).size).toBe(2);
      proxy.heal();
      await fleet.isOver('ShoalRingsDiffer');
    } finally {
      await proxy.stop();
    }
  });

  it.skipIf(unmet(['fifos']) !== null)('ShoalDiskAway, of files that became pipes', async () => {
    const blocks = join(folder, 'blocks');
    const { members } = await up({
      workers: 1,
      workerArgs: ['--cache-bytes', '2MiB', '--disk-cache-dir', blocks],
    });
    const prefixes = await Prefixes.compute(fleet.api, 12, { seed: 1_000 });
    const files = () => readdirSync(blocks).filter((name) => name.endsWith('.kv'));
    while (files().length <= 12) await ask(fresh(), A);
    // The probe of a disk that is away reads what it wrote, at its place: a pipe has none.
    const names = [...files(), 'probe'];
    for (const name of names) {
      rmSync(join(blocks, name), { force: true });
      execFileSync('mkfifo', [join(blocks, name)]);
    }
    const said = await fleet.seen('ShoalDiskAway', A, () => prefixes.wrong());
    expect(printed(said, 'shoal_disk_away')).toBe(1);
    expect(said).toMatch(/"disks".*(?:worker-1|away)/);
    expect(members.members.get(A)!.lines.join('\n')).toContain('the disk cache is away');
    expect(await prefixes.wrong()).toBe(0);
    for (const name of names) rmSync(join(blocks, name), { force: true });
    await fleet.isOver('ShoalDiskAway');
  });

  it('ShoalWorkerQuarantined, of a worker that keeps other K/V than it computes', async () => {
    const module = pathToFileURL(join(ROOT, 'dist/bench/chaos/lying-cache.js')).href;
    const liar = { env: { NODE_OPTIONS: `--import=${module}`, CHAOS_LIAR: A } };
    const { members } = await up({ workers: 3, workerArgs: ['--audit', '1/1', '--fetch', 'always'] }, { [A]: liar });
    const lie = async () => {
      const prompt = fresh();
      // Once it is quarantined, it answers nobody.
      await ask(prompt, A).catch(() => {});
      for (const worker of [B, C]) await ask(prompt, worker);
    };
    const said = await fleet.seen('ShoalWorkerQuarantined', B, lie);
    const { workers } = JSON.parse(said) as { workers: { id: string; quarantined: { by: string[] } | null }[] };
    const accused = workers.filter(({ quarantined }) => quarantined !== null);
    expect(accused.map(({ id }) => id)).toEqual([A]);
    expect(accused[0]!.quarantined!.by.length).toBeGreaterThan(0);
    await members.members.get(A)!.stop();
    await fleet.startWorker(A);
    await fleet.isOver('ShoalWorkerQuarantined', () => ask(fresh(), B));
  });

  // Other processors do not end a process that divides by zero.
  it.skipIf(unmet(['crashes']) !== null)('ShoalPoison, of a prompt that crashes its worker', async () => {
    const model = join(folder, 'recall');
    await brittleModel(modelFolder(null), model, CRASH_TOKEN);
    const { members } = await up({ workers: 3, model });
    const poison = { model: 'recall', prompt: `${fresh()}${CRASH_CHARACTER}`, max_tokens: 8 };
    expect((await fleet.api.post('/v1/completions', poison)).status).toBe(422);
    const alive = [A, B, C].find((id) => members.members.get(id)!.alive)!;
    const said = await fleet.seen('ShoalPoison', alive);
    expect(printed(said, 'shoal_prompts_quarantined_total')).toBe(1);
    expect(said.match(/worker-\d .*(?:suspect|dead)/g)).toHaveLength(2);
    expect(members.members.get('coordinator-1')!.lines.join('\n')).toMatch(
      /a prompt crashed workers and is quarantined/,
    );
    for (const id of [A, B, C]) if (id !== alive) await fleet.startWorker(id);
    await fleet.isOver('ShoalPoison', () => ask(fresh(), alive));
  });

  it('ShoalOverloaded, of more clients than places', async () => {
    await up({ workers: 1, workerArgs: ['--sequences', '1', '--max-waiting', '1'] });
    const clients = Array.from({ length: 3 }, () => endless(answer));
    await fleet.prometheus.fires('ShoalOverloaded');
    // Full but for the moments between two requests.
    while (!/worker-1 +serving .* 1 +1 +\d+ +\S+ \S+ of/.test(await fleet.seen('ShoalOverloaded', A)));
    await fleet.members.startWorker(B, { args: ['--sequences', '8', '--max-waiting', '64'] });
    await fleet.isOver('ShoalOverloaded');
    await Promise.all(clients.map((client) => client.stop()));
  });

  it('ShoalSlowFirstToken, of a queue', async () => {
    await up({ workers: 1, workerArgs: ['--sequences', '1', '--max-waiting', '128'] });
    const clients = Array.from({ length: 100 }, () => endless(answer));
    const said = await fleet.seen('ShoalSlowFirstToken', A);
    const meanS = (histogram: string) => printed(said, `${histogram}_sum`) / printed(said, `${histogram}_count`);
    expect(meanS('shoal_queue_seconds')).toBeGreaterThan(0.5 * meanS('shoal_time_to_first_token_seconds'));
    await Promise.all(clients.map((client) => client.stop()));
    await fleet.isOver('ShoalSlowFirstToken', () => ask(fresh(), A));
  });

  it('ShoalHitRateLow, of prompts that begin with what varies', async () => {
    await up({ workers: 1 });
    const common = fresh();
    const hitRate = `1 - sum(rate(shoal_prompt_tokens_total{role="coordinator",source="computed"}[30s])) / sum(rate(shoal_prompt_tokens_total{role="coordinator"}[30s]))`;
    // It is not a number before the first request.
    while (!(((await fleet.prometheus.value(hitRate)) ?? 0) > 0.5)) await ask(common, A);
    let asked = 0;
    const varying = () => ask(`Request ${asked++}. ${common}`, A);
    const said = await fleet.seen('ShoalHitRateLow', A, varying, `Request ${asked}. ${common}`);
    expect(said).toMatch(/^0 of \d+ blocks can be reused/);
    expect(printed(said, 'shoal_prompt_tokens_total{source="computed"}')).toBeGreaterThan(0);
    await fleet.isOver('ShoalHitRateLow', () => ask(common, A));
  });

  it.skipIf(noMemoryLimit !== null)('ShoalMemoryHigh, of a worker with a limit that it reaches', async () => {
    await up({ workers: 1 });
    const { members, prometheus } = fleet;
    const used = (await prometheus.value('process_resident_memory_bytes{role="worker"}'))!;
    const limit = Math.floor(0.8 * used);
    await members.members.get(A)!.stop();
    await fleet.startWorker(A, { inside: limitedMemory(limit) });
    const said = await fleet.seen('ShoalMemoryHigh', A, () => ask(fresh(), A));
    expect(printed(said, 'shoal_memory_limit_bytes')).toBe(limit);
    expect(printed(said, 'process_resident_memory_bytes')).toBeGreaterThan(0.9 * limit);
    expect(printed(said, 'shoal_cache_bytes')).toBeLessThanOrEqual(printed(said, 'shoal_cache_budget_bytes'));
    await members.members.get(A)!.stop();
    await fleet.startWorker(A, { inside: limitedMemory(2 * used) });
    await fleet.isOver('ShoalMemoryHigh', () => ask(fresh(), A));
  });
});

/** Asks again and again. What is under way when it is stopped is withdrawn. */
function endless(job: (signal: AbortSignal) => Promise<unknown>): { stop(): Promise<void> } {
  const over = new AbortController();
  const run = async () => {
    while (!over.signal.aborted) await job(over.signal);
  };
  const running = run().catch((error: unknown) => {
    if (!over.signal.aborted) throw error;
  });
  const stop = () => {
    over.abort();
    return running;
  };
  return { stop };
}
