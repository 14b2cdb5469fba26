import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemberFleet, type MemberFleetOptions, type MemberStart } from '../../../bench/chaos/member-fleet.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import { SystemRandom } from '../../../src/random.js';
import { ROOT } from '../../deploy/support/programs.js';
import { impatient, Prometheus, type Target } from '../../deploy/support/prometheus.js';
import { look } from '../../deploy/support/runbook.js';
import { CLI } from '../../fleet/support/fleet.js';

/** The rates of five minutes become those of five seconds. */
const HASTE = 60;

/** A fleet of single processes, and a Prometheus with shoal's alerts that scrapes them. */
export class WatchedFleet {
  private readonly ports = new Map<string, string>();
  private watch: Prometheus | null = null;
  private targets = 0;

  private constructor(
    readonly folder: string,
    readonly members: MemberFleet,
  ) {}

  /**
   * Starts the fleet, and Prometheus once all workers serve.
   * @param promtool the path of the tool that Prometheus is beside
   * @param own what each worker is started with beside the options
   */
  static async up(
    promtool: string,
    options: MemberFleetOptions,
    own: Readonly<Record<string, MemberStart>> = {},
  ): Promise<WatchedFleet> {
    const folder = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    const world = { cli: CLI, natsServer: (await findNatsServer()).path, folder, random: new SystemRandom() };
    const fleet = new WatchedFleet(folder, new MemberFleet(world, options));
    try {
      await fleet.start(promtool, own);
    } catch (error) {
      await fleet.close();
      throw error;
    }
    return fleet;
  }

  get api(): MemberFleet['api'] {
    return this.members.api;
  }

  /** Starts a worker, or one that has ended, where Prometheus looks for it. Resolves when it serves. */
  async startWorker(id: string, { args = [], ...start }: MemberStart = {}): Promise<void> {
    const port = ['--metrics-port', this.ports.get(id) ?? '0'];
    await this.members.startWorker(id, { ...start, args: [...port, ...args] });
    this.ports.set(id, new URL(await this.worker(id)).port);
  }

  /** Where a worker serves its metrics. */
  async worker(id: string): Promise<string> {
    return new URL(await this.members.metricsOf(id)).origin;
  }

  /** Asks Prometheus until the alert fires, with `poke` in between, and runs the commands of its page. Gives what they print. */
  async seen(alert: string, worker: string, poke?: () => Promise<unknown>, prompt?: string): Promise<string> {
    await this.prometheus.fires(alert, poke);
    return look(alert, {
      coordinator: this.api.url,
      worker: await this.worker(worker),
      ...(prompt !== undefined && { prompt }),
    });
  }

  /** Asks Prometheus until it hears all processes and the alert is over, with `poke` in between. */
  isOver(alert: string, poke?: () => Promise<unknown>): Promise<void> {
    return this.prometheus.isOver(alert, this.targets, poke);
  }

  get prometheus(): Prometheus {
    return this.watch!;
  }

  async close(): Promise<void> {
    await this.watch?.stop();
    await this.members.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  private async start(promtool: string, own: Readonly<Record<string, MemberStart>>): Promise<void> {
    const { members } = this;
    await members.startNats();
    await Promise.all([
      ...members.coordinatorIds.map((id) => members.startCoordinator(id)),
      ...members.workerIds.map((id) => this.startWorker(id, own[id])),
    ]);
    await members.allServe();
    const workers = await Promise.all(members.workerIds.map((id) => this.worker(id)));
    const targets: Target[] = [
      { role: 'coordinator', url: this.api.url },
      ...workers.map((url) => ({ role: 'worker', url }) as const),
    ];
    this.targets = targets.length;
    const rules = impatient(readFileSync(join(ROOT, 'deploy/prometheus/alerts.yml'), 'utf8'), HASTE);
    this.watch = await Prometheus.start(promtool.replace(/promtool$/, 'prometheus'), this.folder, rules, targets);
    while ((await this.watch.up()) < this.targets);
  }
}
