import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { FleetApi, type WorkerRow } from '../../bench/fleet/fleet-api.js';
import { FleetProcess } from '../../bench/fleet/fleet-process.js';
import { type PlainNats, plainNats } from '../../bench/fleet/plain-nats.js';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { type Namespace, SplitNetwork } from '../../bench/fleet/split-network.js';
import { findNatsServer } from '../../cli/nats/find-server.js';
import { CLI, Fleet } from './support/fleet.js';
import { JoinedWorker } from './support/joined-worker.js';

const SHEET = recallSheet(32, 17);
const prompts = SHEET.questions.slice(0, 8).map(({ question, answer }) => ({
  prompt: recallPrompt(SHEET, question),
  answer,
}));

/** Sends one request after another, and counts those that do not get the right answer. */
class LightLoad {
  readonly failures: string[] = [];
  answered = 0;
  private ended = false;
  private readonly running: Promise<void>;

  constructor(private readonly api: FleetApi) {
    this.running = this.run();
  }

  async end(): Promise<void> {
    this.ended = true;
    await this.running;
  }

  private async run(): Promise<void> {
    for (let i = 0; !this.ended; i++) {
      const { prompt, answer } = prompts[i % prompts.length]!;
      try {
        const { choices } = await this.api.complete({ prompt });
        const said = choices[0]!.text.trim();
        if (said === answer) this.answered++;
        else this.failures.push(`answered ${said}`);
      } catch (error) {
        this.failures.push(String(error));
      }
      await pause(50);
    }
  }
}

function sameProcess({ id, incarnation, pid }: WorkerRow) {
  return { id, incarnation, pid };
}

describe('a worker that is paused', () => {
  let fleet: Fleet | null = null;
  afterEach(async () => {
    await fleet?.stop();
    fleet = null;
  });

  it.each([2_000, 5_000, 10_000])('for %i ms goes on in the same process, with its blocks', async (ms) => {
    fleet = await Fleet.up(['--workers', '3', '--replicas', '2']);
    const before = await fleet.until((workers) => workers.filter(({ state }) => state === 'serving').length === 3);
    const { prompt, answer } = prompts[0]!;
    const { worker } = (await fleet.complete({ prompt })).shoal;
    const paused = before.find(({ id }) => id === worker)!;
    const load = new LightLoad(fleet);
    process.kill(paused.pid, 'SIGSTOP');
    await pause(ms);
    if (ms >= 5_000) expect((await fleet.workers()).find(({ id }) => id === worker)!.state).toBe('dead');
    process.kill(paused.pid, 'SIGCONT');
    // Its first answer shows that it is back, whatever the coordinator made of the pause: until then, others may answer for it.
    const pinned = () => fleet!.complete({ prompt }, { 'x-shoal-worker': worker }).catch(() => null);
    let after = await pinned();
    while (after?.shoal.worker !== worker) {
      await fleet.until((workers) => workers.some(({ id, state }) => id === worker && state === 'serving'));
      after = await pinned();
    }
    await load.end();
    expect(after.choices[0]!.text.trim()).toBe(answer);
    expect(after.shoal.cached.local).toBeGreaterThan(0);
    expect(load.failures).toEqual([]);
    const now = await fleet.until((workers) => workers.every(({ state }) => state === 'serving'));
    expect(now.map(sameProcess)).toEqual(before.map(sameProcess));
  });
});

/** A fleet over a network: two workers and a coordinator that stay, and one of each in a namespace of its own. */
class SplitFleet {
  readonly processes: FleetProcess[] = [];

  private constructor(
    private readonly dir: string,
    private readonly network: SplitNetwork,
    private readonly nats: PlainNats,
    readonly worker: Namespace,
    readonly coordinator: Namespace,
  ) {}

  static async start(): Promise<SplitFleet> {
    const dir = await mkdtemp(join(tmpdir(), 'shoal-split-'));
    const network = new SplitNetwork();
    const { path } = await findNatsServer();
    const nats = await plainNats(path, ['-a', network.address, '-js', '-sd', join(dir, 'store')]);
    const fleet = new SplitFleet(dir, network, nats, network.add(), network.add());
    const { worker, coordinator } = fleet;
    // The coordinator that will be cut off is the second process.
    await Promise.all([
      fleet.startCoordinator([], network.address, 'stays'),
      fleet.startCoordinator(coordinator.inside, coordinator.address, 'cut'),
      fleet.startWorker([], network.address, 'a'),
      fleet.startWorker([], network.address, 'b'),
      fleet.startWorker(worker.inside, worker.address, 'cut'),
    ]);
    return fleet;
  }

  get staying(): FleetApi {
    return new FleetApi(`http://${this.network.address}:18080`);
  }

  get isolated(): FleetApi {
    return new FleetApi(`http://${this.coordinator.address}:18080`);
  }

  async close(): Promise<void> {
    await Promise.all(this.processes.map((process) => process.stop()));
    await this.nats.stop('SIGKILL');
    this.network.close();
    await rm(this.dir, { recursive: true, force: true });
  }

  private startWorker(inside: readonly string[], address: string, id: string): Promise<string> {
    const peer = ['--peer-host', address, '--threads', '1', '--sequences', '2'];
    return this.startProcess(inside, 'worker', ['--worker-id', id, '--cache-bytes', '64MiB', ...peer], 'serving');
  }

  private startCoordinator(inside: readonly string[], address: string, id: string): Promise<string> {
    const http = ['--host', address, '--port', '18080', '--allow-routing', '--insecure'];
    return this.startProcess(inside, 'coordinator', ['--coordinator-id', id, ...http], 'listening');
  }

  private startProcess(inside: readonly string[], role: string, args: readonly string[], ready: string) {
    const url = this.nats.url.replace('127.0.0.1', this.network.address);
    const env = { SHOAL_SECRET: 'a secret that all members of the fleet know', SHOAL_API_KEYS: '' };
    const process_ = new FleetProcess(
      [...inside, process.execPath, CLI, role, '--nats', url, '--log-level', 'info', ...args],
      env,
    );
    this.processes.push(process_);
    return process_.logged(`"msg":"${ready}"`);
  }
}

const unavailable = SplitNetwork.unavailable();
if (unavailable !== null) console.warn(`the tests of isolated members are skipped: ${unavailable}`);

describe.skipIf(unavailable !== null)('a member that is cut off from everybody', () => {
  let fleet: SplitFleet | null = null;
  afterEach(async () => {
    await fleet?.close();
    fleet = null;
  });

  const serving = (workers: WorkerRow[]) => workers.filter(({ state }) => state === 'serving').length === 3;

  it.each([
    ['worker', 3_000],
    ['worker', 10_000],
    ['coordinator', 3_000],
    ['coordinator', 10_000],
  ] as const)('a %s for %i ms ends nobody, and comes back with what it had', async (role, ms) => {
    fleet = await SplitFleet.start();
    await survives(fleet, role, async () => {
      fleet![role].cut();
      await pause(ms);
      const dead = (workers: WorkerRow[]) => workers.filter(({ state }) => state === 'dead').map(({ id }) => id);
      // Those that hear the rest bury the worker that is cut off; a coordinator that hears nobody buries nobody.
      expect(dead(await fleet!.staying.workers())).toEqual(role === 'worker' ? ['cut'] : []);
      fleet![role].heal();
    });
  });

  it('a worker with a flapping link ends no member, and comes back with its blocks', async () => {
    fleet = await SplitFleet.start();
    const { worker } = fleet;
    await survives(fleet, 'worker', async () => {
      for (let i = 0; i < 8; i++) {
        worker.cut();
        await pause(700);
        worker.heal();
        await pause(700);
      }
    });
  });

  /** Checks that nobody ends or loses blocks by a fault, nor fails requests of a coordinator that is not cut off. */
  async function survives({ staying, isolated, processes }: SplitFleet, role: string, fault: () => Promise<void>) {
    const before = await staying.until(serving);
    await isolated.until(serving);
    const { prompt } = prompts[0]!;
    await staying.complete({ prompt }, { 'x-shoal-worker': 'cut' });
    const load = new LightLoad(staying);
    await fault();
    const healedMs = performance.now();
    // The view of a coordinator that was cut off says nothing before it hears the fleet again.
    if (role === 'coordinator') await processes[1]!.logged('this coordinator hears the fleet again');
    await staying.until(serving);
    await isolated.until(serving);
    expect(performance.now() - healedMs).toBeLessThan(10_000);
    await load.end();
    expect(load.failures).toEqual([]);
    expect(load.answered).toBeGreaterThan(0);
    for (const api of [staying, isolated])
      expect((await api.workers()).map(sameProcess)).toEqual(before.map(sameProcess));
    expect(processes.filter(({ alive }) => !alive)).toEqual([]);
    const after = await staying.complete({ prompt }, { 'x-shoal-worker': 'cut' });
    expect(after.shoal.cached.local).toBeGreaterThan(0);
    expect((await isolated.complete({ prompt })).choices[0]!.text.trim()).toBe(prompts[0]!.answer);
  }
});

describe('a worker that is started again on a machine whose clock is 10 minutes behind', () => {
  it('serves at once', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'shoal-clock-'));
    const { path } = await findNatsServer();
    const nats = await plainNats(path, ['-js', '-sd', join(dir, 'store')]);
    const env = { SHOAL_SECRET: 'a secret that all members of the fleet know', SHOAL_NATS: nats.url };
    const fleet = await Fleet.up(['--workers', '1', '--nats', nats.url], env);
    const args = ['--threads', '1', '--sequences', '2', '--cache-bytes', '64MiB'];
    try {
      const first = new JoinedWorker('moved', args, env);
      const isServing = ({ id, state }: WorkerRow) => id === 'moved' && state === 'serving';
      const before = (await fleet.until((workers) => workers.some(isServing))).find(isServing)!;
      process.kill(before.pid, 'SIGKILL');
      await first.stop();
      const late = 'const now = Date.now; Date.now = () => now() - 600_000;';
      const second = new JoinedWorker('moved', args, {
        ...env,
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(late)}`,
      });
      await second.logged('"msg":"serving"');
      const startedMs = performance.now();
      await fleet.until((workers) => workers.some((row) => isServing(row) && row.pid !== before.pid));
      expect(performance.now() - startedMs).toBeLessThan(5_000);
      await second.stop();
    } finally {
      await fleet.stop();
      await nats.stop('SIGKILL');
      await rm(dir, { recursive: true, force: true });
    }
  });
});
