import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Cancelled } from '../../src/errors.js';
import type { Random } from '../../src/random.js';
import { FleetApi } from '../fleet/fleet-api.js';
import { FleetProcess } from '../fleet/fleet-process.js';
import { type PlainNats, plainNats } from '../fleet/plain-nats.js';
import { PeerProxy } from './peer-proxy.js';
import { Wires } from './wires.js';

/** Where a member runs: `inside` begins its command, `address` is where it listens. */
export interface Place {
  readonly inside: readonly string[];
  readonly address: string;
}

export interface MemberFleetOptions {
  readonly workers?: number;
  readonly coordinators?: number;
  readonly replicas?: number;
  /** Folder of the model. Default: the model that comes with shoal. */
  readonly model?: string;
  /** Of all workers. */
  readonly workerArgs?: readonly string[];
  /** Connections to workers go through proxies, whose conditions `wires` has. */
  readonly proxied?: boolean;
  /** Places of members by id; the others run here, at `address`. */
  readonly places?: Readonly<Record<string, Place>>;
  readonly address?: string;
}

interface MemberFleetWorld {
  readonly cli: string;
  readonly natsServer: string;
  readonly folder: string;
  readonly random: Random;
}

export interface MemberStart {
  /** Replaces the beginning of its command, which its place gives otherwise. */
  readonly inside?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Proxies listen on 127.0.0.2, 127.0.0.3 and so on. */
const FIRST_PROXY = 2;
const WORKER = ['--threads', '1', '--sequences', '4', '--cache-bytes', '64MiB'];

/** A fleet of single processes with its own NATS server: a process that ends stays down until it is started again. */
export class MemberFleet {
  readonly wires = new Wires();
  readonly apis: FleetApi[] = [];
  /** Every process that was started, by id; of an id that was started again, the last one. */
  readonly members = new Map<string, FleetProcess>();
  private readonly processes: FleetProcess[] = [];
  private readonly proxies = new Map<string, PeerProxy>();
  readonly secret = randomBytes(24).toString('base64url');
  private readonly address: string;
  private nats: PlainNats | null = null;
  private natsPort = '-1';
  private closed = false;

  constructor(
    private readonly world: MemberFleetWorld,
    private readonly options: MemberFleetOptions,
  ) {
    this.address = options.address ?? '127.0.0.1';
  }

  get api(): FleetApi {
    return this.apis[0]!;
  }

  get workerIds(): string[] {
    return numbered('worker', this.options.workers ?? 3);
  }

  get coordinatorIds(): string[] {
    return numbered('coordinator', this.options.coordinators ?? 1);
  }

  get natsUrl(): string {
    return this.nats!.url.replace('127.0.0.1', this.address);
  }

  /** Starts everything and waits until all workers serve. */
  async start(): Promise<void> {
    await this.startNats();
    await Promise.all([
      ...this.coordinatorIds.map((id) => this.startCoordinator(id)),
      ...this.workerIds.map((id) => this.startWorker(id)),
    ]);
    await this.allServe();
  }

  /** Waits until every coordinator sees this many workers serve. */
  async allServe(count = this.workerIds.length): Promise<void> {
    for (const api of this.apis) {
      await api.until((workers) => this.closed || workers.filter(({ state }) => state === 'serving').length >= count);
    }
  }

  async startNats(): Promise<void> {
    const store = ['-js', '-sd', join(this.world.folder, 'nats-store')];
    const args = ['-a', this.address, ...store, '-p', this.natsPort];
    this.nats = await plainNats(this.world.natsServer, args);
    this.natsPort = new URL(this.nats.url).port;
    if (this.closed) await this.stopNats();
  }

  async stopNats(): Promise<void> {
    await this.nats?.stop('SIGKILL');
  }

  /** The peer port of a worker that has a proxy: on 127.0.0.1, past the proxy. */
  portOf(id: string): number {
    return this.proxies.get(id)!.port;
  }

  /** Where the proxy before a worker listens. */
  proxyOf(id: string): { readonly host: string; readonly port: number } {
    return { host: this.proxyHost(id), port: this.portOf(id) };
  }

  /** The fingerprint of the fleet's model. */
  async fingerprint(): Promise<string> {
    const line = await this.members.get(this.coordinatorIds[0]!)!.logged('"msg":"listening"');
    return (JSON.parse(line) as { fingerprint: string }).fingerprint;
  }

  /** Where a worker serves its metrics. Resolves once it serves. */
  async metricsOf(id: string): Promise<string> {
    const line = await this.members.get(id)!.logged('"msg":"serving"');
    return (JSON.parse(line) as { metrics: string }).metrics;
  }

  /** The sum of all series of the running workers' metrics whose names match. */
  async sum(series: RegExp): Promise<number> {
    const workers = [...this.members].filter(([id, member]) => !id.startsWith('coordinator') && member.alive);
    const pages = await Promise.all(
      workers.map(async ([id]) => (await fetch(`${await this.metricsOf(id)}/metrics`)).text()),
    );
    const lines = pages.flatMap((page) => page.split('\n')).filter((line) => series.test(line));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  /** To be called while the server is down: it comes back empty. */
  emptyNats(): Promise<void> {
    return rm(join(this.world.folder, 'nats-store'), { recursive: true, force: true });
  }

  /** Starts a worker, or one of an id that has ended or still runs. Resolves when it serves. */
  async startWorker(id: string, { inside, args = [], env = {} }: MemberStart = {}): Promise<FleetProcess> {
    const place = await this.placeOf(id);
    const peers = ['--peer-host', place.address, ...place.peerArgs];
    const own = ['--worker-id', id, ...WORKER, ...peers, ...(this.options.workerArgs ?? []), ...args];
    const member = this.spawn(id, inside ?? place.inside, ['worker', ...own], env);
    await member.logged('"msg":"serving"');
    return member;
  }

  /** Starts a process of the fleet with these arguments. It may end by itself. */
  spawn(
    id: string,
    inside: readonly string[],
    [role = '', ...args]: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): FleetProcess {
    if (this.closed) throw new Cancelled('the fleet was stopped while it started');
    const replicas = String(this.options.replicas ?? 2);
    const model = this.options.model === undefined ? [] : ['--model', this.options.model];
    const common = ['--nats', this.natsUrl, '--replicas', replicas, '--log-level', 'info', ...model];
    const access = { SHOAL_SECRET: this.secret, SHOAL_API_KEYS: '', ...env };
    const member = new FleetProcess([...inside, process.execPath, this.world.cli, role, ...common, ...args], access);
    this.processes.push(member);
    this.members.set(id, member);
    return member;
  }

  /** Starts a coordinator, or one of an id that has ended. Resolves when it listens; its port is another one. */
  async startCoordinator(id: string): Promise<void> {
    const place = await this.placeOf(id);
    const args = ['--coordinator-id', id, '--host', place.address, '--port', '0', '--allow-routing', '--insecure'];
    const member = this.spawn(id, place.inside, ['coordinator', ...args]);
    const { url } = JSON.parse(await member.logged('"msg":"listening"')) as { url: string };
    this.apis[this.coordinatorIds.indexOf(id)] = new FleetApi(url);
  }

  /** Kills all processes, paused ones too. */
  async close(): Promise<void> {
    this.closed = true;
    await Promise.all(this.processes.map((member) => member.stop('SIGKILL')));
    for (const proxy of this.proxies.values()) proxy.close();
    await this.stopNats();
  }

  private proxyHost(id: string): string {
    return `127.0.0.${FIRST_PROXY + this.workerIds.indexOf(id)}`;
  }

  private async placeOf(id: string): Promise<Place & { readonly peerArgs: readonly string[] }> {
    const place = this.options.places?.[id] ?? { inside: [], address: this.address };
    if (!this.options.proxied || !id.startsWith('worker')) return { ...place, peerArgs: [] };
    const host = this.proxyHost(id);
    const proxy = this.proxies.get(id) ?? (await PeerProxy.listen(host, id, this.wires));
    this.proxies.set(id, proxy);
    return { ...place, peerArgs: ['--peer-port', String(proxy.port), '--advertise-host', host] };
  }
}

function numbered(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${name}-${index + 1}`);
}
