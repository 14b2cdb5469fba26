import { join } from 'node:path';
import { DEFAULT_RESTART_POLICY, type RestartPolicy } from '../src/actors/restart-policy.js';
import type { Clock } from '../src/clock.js';
import { cacheFolder } from '../src/config/cache-folder.js';
import type { NatsAccess } from '../src/config/nats-access.js';
import { OPTIONS } from '../src/config/options.js';
import { type EnvironmentVariables, withoutOptions } from '../src/config/read-options.js';
import type { UpConfig } from '../src/config/up-config.js';
import { Cancelled, Unavailable } from '../src/errors.js';
import * as limits from '../src/limits.js';
import { operatorKey } from '../src/operator-key.js';
import { CoordinatorClient } from './coordinator-client.js';
import { diskKeyFile } from './disk-key.js';
import type { EmbeddedServer } from './nats/embedded-server.js';
import type { NatsCommand } from './nats/nats-process.js';
import { fleetUsers } from './nats/users.js';
import { Child } from './process/child.js';
import type { Killings } from './process/killings.js';
import { RunDirectory } from './process/run-directory.js';
import { Supervised, type SupervisedEvent, type SupervisedProcess } from './process/supervised.js';
import type { Progress } from './progress.js';

/** A fleet on this machine: NATS, coordinators and workers, kept running. */

/** The dependencies of `LocalFleet`. */
export interface LocalFleetPorts {
  readonly clock: Clock;
  readonly environment: EnvironmentVariables;
  readonly progress: Progress;
  /** Cluster secret of this run. */
  readonly secret: string;
  /** Script that runs a role. Its argument is `coordinator` or `worker`. */
  readonly script: string;
  readonly findNats: (path: string | null, onProgress: (line: string) => void) => Promise<string>;
  readonly startNats: (command: NatsCommand) => SupervisedProcess & { readonly ready: Promise<EmbeddedServer> };
  readonly killings: Pick<Killings, 'isKilling'>;
  /** Called with each line of a child's log. */
  readonly onLog: (line: string) => void;
}

export interface FleetAddresses {
  readonly nats: string;
  /** At least one. */
  readonly coordinators: readonly {
    readonly id: string;
    readonly url: string;
    readonly pid: number;
    readonly redis: string | null;
  }[];
  readonly workers: readonly { readonly id: string; readonly pid: number; readonly redis: string | null }[];
}

const POLL_MS = 100;
/** A worker is the fleet's capacity, so the pauses before its restarts stay short. */
const WORKER_RESTART_POLICY: RestartPolicy = { ...DEFAULT_RESTART_POLICY, ceilingMs: 2_000 };

/** Runs NATS, coordinators and workers on this machine, each in its own process, and restarts them until stopped. */
export class LocalFleet {
  /** Rejects when NATS, the last coordinator or the last worker has been given up. */
  readonly failed: Promise<never>;
  private fail!: (error: Error) => void;
  private readonly aborted = new AbortController();
  private readonly coordinators = new Map<string, Supervised>();
  private readonly workers = new Map<string, Supervised>();
  /** The present process of each coordinator. */
  private readonly coordinatorProcesses = new Map<string, Child>();
  /** The incarnation of each worker that is, or was, ready. */
  private readonly incarnations = new Map<string, string>();
  private readonly down = new Set<string>();
  private nats: Supervised | null = null;
  private directory: RunDirectory | null = null;

  constructor(
    private readonly config: UpConfig,
    private readonly ports: LocalFleetPorts,
  ) {
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => {});
  }

  /**
   * Starts everything and waits until all workers serve. Call `stop` afterwards, even if this rejects.
   * @throws ChildFailed, Unavailable; Cancelled after `stop`
   */
  async start(): Promise<FleetAddresses> {
    const nats = await this.startNats();
    this.checkAborted();
    this.directory = RunDirectory.create();
    const ids = Array.from({ length: this.config.workers }, (_, index) => `worker-${index + 1}`);
    const serving = ids.map((id, index) => this.startWorker(id, index, natsVariables(nats.worker)));
    const listening = this.config.ports.map((port, index) =>
      this.startCoordinator(`coordinator-${index + 1}`, index, port, natsVariables(nats.coordinator)),
    );
    const [coordinators, workers] = await Promise.all([Promise.all(listening), Promise.all(serving)]);
    this.ports.progress.step('fleet', 'waiting until all workers serve');
    const known = coordinators.map(({ url }) => this.untilServing(url, ids));
    await Promise.race([Promise.all(known), this.failed]);
    return {
      nats: nats.coordinator.url,
      coordinators: coordinators.map((each) => ({ ...each, pid: this.coordinators.get(each.id)?.pid ?? 0 })),
      workers: workers.map((each) => ({ ...each, pid: this.workers.get(each.id)?.pid ?? 0 })),
    };
  }

  /** Stops the workers, then the coordinators, then NATS, each gracefully and within a limit. Leaves nothing behind that can be ended. */
  async stop(): Promise<void> {
    this.aborted.abort();
    const nats = new Map(this.nats === null ? [] : [['nats', this.nats]]);
    for (const roles of [this.workers, this.coordinators, nats])
      await Promise.all([...roles].map(([name, role]) => this.stopRole(name, role)));
    this.directory?.remove();
  }

  private async stopRole(name: string, role: Supervised): Promise<void> {
    const pid = role.pid ?? 0;
    if (await role.stop()) return;
    const why = 'the system holds it, for example because a disk does not answer';
    this.ports.progress.step(name, `has not ended, although it was killed (pid ${pid}): ${why}`);
  }

  /** Kills everything at once. */
  kill(): void {
    this.aborted.abort();
    for (const process of [...this.workers.values(), ...this.coordinators.values(), this.nats]) process?.kill();
    this.directory?.remove();
  }

  private checkAborted(): void {
    if (this.aborted.signal.aborted) throw new Cancelled('the fleet was stopped while it started');
  }

  /** Starts a server with a user for each role. A server that is given has one user for both. */
  private async startNats(): Promise<Readonly<Record<'coordinator' | 'worker', NatsAccess>>> {
    const { config, ports } = this;
    if (config.nats !== null) {
      ports.progress.step('nats', `using ${config.nats.url}`);
      return { coordinator: config.nats, worker: config.nats };
    }
    const path = await ports.findNats(config.natsServer, (line) => ports.progress.step('nats-server', line));
    this.checkAborted();
    const { coordinator, worker } = fleetUsers(config.namespace);
    const onNotice = (line: string) => ports.progress.step('nats', line);
    let port = 0;
    const own = { path, namespace: config.namespace, clock: ports.clock, onNotice };
    this.nats = this.supervise('nats', () => ports.startNats({ ...own, users: [coordinator, worker], port }));
    const { url, port: taken } = (await this.nats.start()) as EmbeddedServer;
    port = taken;
    return { coordinator: { ...coordinator, url }, worker: { ...worker, url } };
  }

  private async startCoordinator(
    id: string,
    index: number,
    port: number,
    nats: Record<string, string>,
  ): Promise<{ readonly id: string; readonly url: string; readonly redis: string | null }> {
    let ownPort = String(port);
    const redis = redisVariables(this.config.redisPorts?.coordinators[index]);
    const coordinator = this.supervise(id, () => {
      const child = this.child(id, 'coordinator', {
        ...this.config.coordinator,
        ...nats,
        SHOAL_PORT: ownPort,
        SHOAL_COORDINATOR_ID: id,
        ...this.auditLogOf(id),
        ...redis,
        SHOAL_SECRET: this.ports.secret,
      });
      this.coordinatorProcesses.set(id, child);
      return child;
    });
    this.coordinators.set(id, coordinator);
    const ready = await coordinator.start();
    const url = readUrl(ready);
    keepPort(redis, ready);
    // A restarted coordinator listens on the same port as before, even if the system chose that port.
    ownPort = url.port === '' ? '80' : url.port;
    return { id, url: url.origin, redis: redisOf(ready) };
  }

  /** Two processes cannot rotate one file. */
  private auditLogOf(coordinator: string): Record<string, string> {
    const { ports, coordinator: variables } = this.config;
    const path = variables.SHOAL_AUDIT_LOG;
    return path === undefined || ports.length === 1 ? {} : { SHOAL_AUDIT_LOG: `${path}.${coordinator}` };
  }

  private async startWorker(
    id: string,
    index: number,
    nats: Record<string, string>,
  ): Promise<{ readonly id: string; readonly redis: string | null }> {
    const redis = redisVariables(this.config.redisPorts?.workers[index]);
    const disk = this.config.worker.SHOAL_DISK_CACHE_DIR;
    const worker = this.superviseWorker(id, () => {
      this.directory?.restore();
      return this.child(id, 'worker', {
        ...this.config.worker,
        ...nats,
        SHOAL_WORKER_ID: id,
        SHOAL_SECRET: this.ports.secret,
        SHOAL_PEER_SOCKET: this.directory!.file(`${id}.sock`),
        ...redis,
        ...this.sharedWeights(),
        ...(disk === undefined ? {} : { ...this.diskKey(), SHOAL_DISK_CACHE_DIR: join(disk, id) }),
      });
    });
    this.workers.set(id, worker);
    const ready = await worker.start();
    keepPort(redis, ready);
    return { id, redis: redisOf(ready) };
  }

  /** Names the folder of shared weights if there is a cache folder. */
  private sharedWeights(): Record<string, string> {
    const folder = this.config.sharesWeights ? cacheFolder(this.ports.environment) : null;
    return folder === null ? {} : { SHOAL_SHARED_WEIGHTS: join(folder, 'weights') };
  }

  /** Names a key for blocks on disk that outlives this run, where the secret does not. */
  private diskKey(): Record<string, string> {
    if (this.config.secret !== null || this.config.worker.SHOAL_DISK_CACHE_KEY_FILE !== undefined) return {};
    const file = diskKeyFile(this.ports.environment);
    if (file !== null) return { SHOAL_DISK_CACHE_KEY_FILE: file };
    const warning = 'blocks on disk are of no use after this run: set SHOAL_SECRET or --disk-cache-key-file';
    this.ports.progress.step('warning', warning);
    return {};
  }

  private child(name: string, role: 'coordinator' | 'worker', variables: Record<string, string>): Child {
    return new Child({
      name,
      script: this.ports.script,
      args: [role],
      environment: { ...withoutOptions(OPTIONS, this.ports.environment), ...variables },
      onLine: this.ports.onLog,
    });
  }

  private supervise(name: string, spawn: () => SupervisedProcess): Supervised {
    const { clock } = this.ports;
    const onEvent = (event: SupervisedEvent) => this.onEvent(name, event);
    return new Supervised({ spawn, clock, policy: DEFAULT_RESTART_POLICY, onEvent });
  }

  /** Supervises a worker, which a prompt or a chaos test may kill again and again. */
  private superviseWorker(id: string, spawn: () => SupervisedProcess): Supervised {
    const { clock } = this.ports;
    const onEvent = (event: SupervisedEvent) => {
      this.onEvent(id, event);
      if (event.type === 'ready') this.incarnations.set(id, readIncarnation(event.info));
      else if (this.ports.killings.isKilling(event.exit)) this.tellKilled(id);
    };
    return new Supervised({ spawn, clock, policy: WORKER_RESTART_POLICY, onEvent });
  }

  /** Tells the coordinators, which would otherwise suspect the prompts that ran on the worker. */
  private tellKilled(worker: string): void {
    const incarnation = this.incarnations.get(worker);
    if (incarnation === undefined) return;
    for (const child of this.coordinatorProcesses.values()) child.tell({ type: 'killed', worker, incarnation });
  }

  private onEvent(name: string, event: SupervisedEvent): void {
    const { progress } = this.ports;
    if (event.type === 'ready') progress.step(name, `started (pid ${event.pid})`);
    if (event.type === 'restarting') {
      progress.step(name, `ended: ${event.exit.reason}; restarting in ${event.inMs} ms`);
    }
    if (event.type === 'given-up') {
      progress.step(name, `ended too often: ${event.exit.reason}; not restarting it`);
      this.down.add(name);
      const alike = [this.workers, this.coordinators].find((roles) => roles.has(name)) ?? new Map<string, Supervised>();
      if ([...alike.keys()].every((id) => this.down.has(id)))
        this.fail(new Unavailable(`cannot keep ${name} running: ${event.exit.reason}`));
    }
  }

  private async untilServing(url: string, ids: readonly string[]): Promise<void> {
    // Its certificate has the names by which clients call it, seldom the loopback address.
    const client = new CoordinatorClient(url, operatorKey(this.ports.secret), this.config.tls !== null);
    const deadlineMs = this.ports.clock.now() + limits.PROCESS_READY_MS;
    for (;;) {
      const missing = await this.missing(client, ids);
      if (missing === null) return;
      this.checkAborted();
      if (this.ports.clock.now() > deadlineMs) {
        throw new Unavailable(`cannot start the fleet within ${limits.PROCESS_READY_MS / 1000} s: ${missing}`);
      }
      await new Promise<void>((resolve) => this.ports.clock.after(POLL_MS, resolve));
    }
  }

  /** The reason why the fleet is not ready yet; null if it is. */
  private async missing(client: CoordinatorClient, ids: readonly string[]): Promise<string | null> {
    if (!(await client.isReady())) return 'a coordinator is not ready';
    // The fleet is shown only to clients with a certificate. The workers themselves said that they serve.
    if (this.config.tls?.clientCa) return null;
    const fleet = await client.fleet().catch((error: Error) => error.message);
    if (typeof fleet === 'string') return fleet;
    const serving = new Set(fleet.workers.filter((worker) => worker.state === 'serving').map((worker) => worker.id));
    const absent = ids.filter((id) => !serving.has(id));
    return absent.length === 0 ? null : `not serving yet: ${absent.join(', ')}`;
  }
}

/** The variables of a child's port for the Redis protocol. */
function redisVariables(port: number | undefined): Record<string, string> {
  return port === undefined ? {} : { SHOAL_REDIS_PORT: String(port) };
}

/** A child that is started again listens on the same port as before, even if the system chose that port. */
function keepPort(redis: Record<string, string>, ready: unknown): void {
  const port = redisOf(ready)?.split(':').at(-1);
  if (port !== undefined && redis.SHOAL_REDIS_PORT !== undefined) redis.SHOAL_REDIS_PORT = port;
}

/** Where clients of the Redis protocol reach a child, from its ready message; null if they cannot. */
function redisOf(ready: unknown): string | null {
  const text = typeof ready === 'object' && ready !== null && 'redis' in ready ? ready.redis : null;
  return typeof text === 'string' ? text : null;
}

/** The variables with which a child connects to NATS. */
function natsVariables(nats: NatsAccess): Record<string, string> {
  return {
    SHOAL_NATS: nats.url,
    ...(nats.user === null ? {} : { SHOAL_NATS_USER: nats.user }),
    ...(nats.password === null ? {} : { SHOAL_NATS_PASSWORD: nats.password }),
  };
}

function readIncarnation(ready: unknown): string {
  const text = typeof ready === 'object' && ready !== null && 'incarnation' in ready ? ready.incarnation : null;
  if (typeof text !== 'string') throw new Unavailable('cannot use the worker: its ready message has no incarnation');
  return text;
}

/** A coordinator's address from its ready message, with a wildcard replaced by loopback. */
function readUrl(ready: unknown): URL {
  const text = typeof ready === 'object' && ready !== null && 'url' in ready ? ready.url : null;
  if (typeof text !== 'string' || !URL.canParse(text))
    throw new Unavailable('cannot use the coordinator: its ready message has no valid URL');
  const url = new URL(text);
  if (url.hostname === '0.0.0.0') url.hostname = '127.0.0.1';
  if (url.hostname === '[::]') url.hostname = '[::1]';
  return url;
}
