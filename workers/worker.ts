import { setImmediate } from 'node:timers/promises';
import { within } from '../src/async/within.js';
import { blockBytes } from '../src/core/kv-layout.js';
import type { Announcement, PeerAddress } from '../src/core/member.js';
import type { MembershipEffect } from '../src/core/membership-events.js';
import { Profiler } from '../src/debug/profiler.js';
import { Refused } from '../src/errors.js';
import { Announcer } from '../src/fleet/announcer.js';
import { HearingLog } from '../src/fleet/hearing-log.js';
import { fleetSubjects } from '../src/fleet/subjects.js';
import { Lifecycle } from '../src/lifecycle.js';
import type { MetricsRegistry } from '../src/metrics/registry.js';
import { operatorKey } from '../src/operator-key.js';
import { PacedLog } from '../src/paced-log.js';
import { LOADED_ADAPTERS } from '../src/protocol/adapter.js';
import type { WorkerFault } from '../src/protocol/worker.js';
import { PASSING_TRACER } from '../src/trace/span.js';
import { makeWorkerParts, type WorkerOptions, type WorkerParts } from './compose.js';
import { spawnWorkerActors } from './worker-actors.js';

/** The lifecycle of one worker: start, drain and stop. */

/** Time limit for running requests to finish when the worker stops. @internal exported for tests. */
export const DRAIN_TIMEOUT_MS = 5_000;
/** Time limit for the last readers of blocks when the worker stops. */
const QUIET_TIMEOUT_MS = 3_000;
/** Time limit for writing blocks to disk when the worker stops. */
const FLUSH_TIMEOUT_MS = 3_000;

/** One worker, which is `starting`, then `serving`, and `draining` while an operator wants it to be and before it stops. `compose.ts` makes its parts. */
export class Worker {
  private state: Announcement['state'] = 'starting';
  /** Whether the worker cannot continue, because a later process took over its ID or it failed. No process waits for its remaining work. */
  private over = false;
  private stopping = false;
  private address: PeerAddress;
  private readonly parts: WorkerParts;
  private readonly announcer: Announcer;
  private readonly life = new Lifecycle();
  private readonly paced: PacedLog;
  private readonly hearing: HearingLog;

  constructor(private readonly options: WorkerOptions) {
    const { config, bus, clock, log, surroundings } = options;
    this.paced = new PacedLog(log, clock);
    this.address = { hostId: surroundings.hostId, unixPath: null, tcpHost: null, tcpPort: null };
    this.parts = makeWorkerParts(options);
    const { linked, roster } = this.parts;
    const members = () => roster.members();
    this.hearing = new HearingLog({ role: 'worker', id: config.id, log: this.paced, members });
    this.announcer = new Announcer(bus, clock, fleetSubjects(config.namespace), () => this.describe(), linked);
  }

  /** Orders this process among the processes of its ID. */
  get generation(): number {
    return this.parts.roster.rank.generation;
  }

  get metrics(): MetricsRegistry {
    return this.parts.instruments.registry;
  }

  /** Joins the fleet. Resolves with the addresses when this worker serves. If it rejects, `stop` undoes the partial start. */
  async start(): Promise<{ peer: PeerAddress; metrics: string | null; redis: string | null }> {
    const { roster, objects, coordinators } = this.parts;
    await this.startSharing();
    this.life.use(roster, () => roster.stop());
    await this.life.start(coordinators);
    await this.startAnswering();
    this.connectParts();
    roster.start();
    this.announcer.start();
    const metrics = await this.serveMetrics();
    await objects?.start(this.life);
    this.become('serving');
    this.options.log.info({ address: this.address }, 'joined');
    return { peer: this.address, metrics, redis: objects?.redis ?? null };
  }

  /** Drains, finishes running requests, hands blocks over and leaves the fleet, each within a time limit. Idempotent. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.options.faults?.stop();
    if (this.state !== 'starting') await this.finish();
    await this.life.stop();
  }

  /** Opens the cache, and serves its blocks to peers. */
  private async startSharing(): Promise<void> {
    const { store, instruments, server, peers, links } = this.parts;
    const { socketPath, host, port, advertiseHost } = this.options.config.peer;
    this.life.use(store, () => this.closeStore());
    await store.open();
    this.life.use(instruments, () => instruments.close());
    this.life.use(server, () => server.close());
    const listening = await server.listen({
      unixPath: socketPath,
      tcpHost: port === null ? null : host,
      tcpPort: port,
    });
    const tcpHost = listening.tcpPort === null ? null : advertiseHost;
    this.address = { ...this.address, unixPath: listening.unixPath, tcpPort: listening.tcpPort, tcpHost };
    this.life.use(peers, () => peers.close());
    this.life.use(links, () => links.close());
  }

  /** Starts the engine and the actors. */
  private async startAnswering(): Promise<void> {
    const { actors, engine, store, holdings, linked, replicator, auditor, suspicions, quarantine, roster, objects } =
      this.parts;
    this.life.use(actors, () => actors.stop());
    // Stops run in reverse order: the announcer leaves when the engine has closed, while the actors can still inform coordinators directly.
    this.life.use(this.announcer, async (announcer) => {
      announcer.leave();
      // Links write at the end of this turn of the event loop, and are closed soon.
      await setImmediate();
    });
    this.life.use(engine, async () => {
      await engine.close();
      this.parts.adapters?.close();
    });
    this.life.use(auditor, () => auditor.stop());
    this.life.use(quarantine, () => quarantine.stop());
    this.life.use(holdings, () => holdings.stop());
    this.life.use(replicator, () => replicator.stop());
    engine.start();
    quarantine.start();
    actors.start();
    await spawnWorkerActors(actors, {
      ...{ engine, store, holdings, replicator, auditor, suspicions, objects },
      activity: (since) => this.parts.instruments.tally.activity(since),
      isReplica: ({ segment }) => roster.ring.homes(segment, 1)[0] !== this.options.config.id,
      log: this.paced,
      tracer: this.options.tracer ?? PASSING_TRACER,
      draining: () => this.state === 'draining',
      drain: () => this.drain(),
      undrain: () => this.undrain(),
      disturb: (fault, seconds, by) => this.disturb(fault, seconds, by),
      follow: (coordinator, forMs, epoch) => {
        if (linked.follow(coordinator, forMs)) this.announcer.soon();
        if (epoch !== null) this.relay(coordinator, epoch);
      },
      end: (why) => this.end(why),
    });
  }

  private connectParts(): void {
    const { peers, server, roster, instruments } = this.parts;
    peers.onLinkClosed((id, incarnation) => roster.linkClosed(id, incarnation));
    server.onLinkClosed((id, incarnation) => roster.linkClosed(id, incarnation));
    roster.listen((effect) => this.onMembership(effect));
    instruments.onLoad(() => this.announcer.soon());
  }

  private async serveMetrics(): Promise<string | null> {
    const { clock, config } = this.options;
    const { metrics } = config;
    const { instruments, store } = this.parts;
    const ready = () => this.state === 'serving';
    const degraded = () => (store.disk === 'away' ? 'disk' : null);
    const debug = { key: operatorKey(config.secret), profiler: new Profiler(clock) };
    return metrics && instruments.serve(metrics, { ready, degraded, debug });
  }

  private async finish(): Promise<void> {
    const { clock, log, config } = this.options;
    const { engine, replicator } = this.parts;
    this.drain();
    const finished = this.over || (await within(clock, DRAIN_TIMEOUT_MS, engine.idle()));
    if (!finished) log.warn({ running: engine.stats().running }, 'requests were cut off: they did not finish in time');
    const copied = Promise.all([replicator.idle(), this.parts.objects?.idle()]).then(() => {});
    const handedOver = this.over || (await within(clock, config.handOverMs, copied));
    if (!handedOver) log.warn({ blocks: replicator.lagBlocks }, 'not all blocks and objects were handed over in time');
  }

  private async closeStore(): Promise<void> {
    const { clock, log } = this.options;
    const { store } = this.parts;
    // Connections unpin blocks a turn or two of the event loop after they are closed.
    await within(clock, QUIET_TIMEOUT_MS, store.quiet());
    const flushed = this.over || (await within(clock, FLUSH_TIMEOUT_MS, store.idle()));
    if (!flushed) log.warn({}, 'not all blocks were written to disk in time');
    await store.close();
  }

  private drain(): void {
    if (this.state !== 'draining') this.become('draining');
  }

  private undrain(): void {
    const { id } = this.options.identity;
    if (this.stopping) throw new Refused(`cannot undrain worker ${id}: it is stopping; start it again instead`);
    if (this.state === 'starting') throw new Refused(`cannot undrain worker ${id}: it has not started yet`);
    if (this.state === 'draining') this.become('serving');
  }

  private disturb(fault: WorkerFault, seconds: number, by: string): void {
    const { faults, identity } = this.options;
    if (!faults) throw new Refused(`cannot disturb worker ${identity.id}: start it with --allow-chaos`);
    faults.begin(fault, seconds, by);
  }

  private become(state: Announcement['state']): void {
    this.state = state;
    this.parts.roster.hear(this.describe());
    this.announcer.announce();
  }

  private onMembership(effect: MembershipEffect): void {
    const { identity } = this.options;
    const log = this.paced;
    if (effect.type === 'refused' && effect.first) log.warn({ reason: effect.reason }, effect.message);
    if (effect.type === 'hearing') this.hearing.changed(effect.hears);
    if (effect.type === 'raised') {
      const { generation, refutation } = effect;
      log.warn({ generation, refutation }, 'members took this worker for gone, which it refutes');
      this.become(this.state);
    }
    if (effect.type === 'joined') {
      this.parts.instruments.peerJoined(effect.id);
      this.parts.actors.nodeBack(effect.id, effect.incarnation);
    }
    this.parts.objects?.onMembership(effect);
    if (effect.type !== 'dead' && effect.type !== 'left') return;
    if (effect.id === identity.id) {
      if (effect.incarnation === identity.incarnation)
        this.end('another worker has taken over its ID; use a different ID for every worker');
      return;
    }
    if (effect.type === 'dead') log.warn({ peer: effect.id, cause: effect.cause }, 'a worker is dead');
    this.parts.fetcher.rates.forget(effect.id);
    this.parts.links.forget({ node: effect.id, incarnation: effect.incarnation });
    this.parts.actors.nodeGone(effect.id, effect.incarnation);
  }

  /** Forwards the other workers' announcements to a coordinator with another view, once for each of this worker's own views. */
  private relay(coordinator: string, epoch: string): void {
    const { linked, roster } = this.parts;
    if (!linked.differs(coordinator, epoch, roster.epoch)) return;
    for (const { id } of roster.members()) {
      const announcement = id === this.options.identity.id ? null : roster.alive(id);
      if (announcement) linked.relay(coordinator, announcement);
    }
  }

  private end(why: string): void {
    if (this.over) return;
    this.over = true;
    this.options.onOver(why);
  }

  private describe(): Announcement {
    const { config, identity, fingerprint, device } = this.options;
    const { engine, store, instruments, fetcher, holdings, roster } = this.parts;
    const stats = engine.stats();
    const [onDevice, host] = (['device', 'host'] as const).map((name) => store.tiers.find(({ tier }) => tier === name));
    instruments.sample(stats, device.copies());
    const { running, waiting, queuedTokens, promptTokens, computeMsPerToken, computeAgeMs, decodeMsPerStep } = stats;
    const { contextTokens, sequences } = engine;
    const adapters = this.parts.adapters?.loaded.slice(-LOADED_ADAPTERS) ?? [];
    const damaged = instruments.damagedByPeer;
    const cached = promptTokens.local + promptTokens.remote;
    const prompts = cached + promptTokens.computed;
    const { generation, incarnation, refutation } = roster.rank;
    // An announcement is made for each change of load, and a literal without spreads costs a tenth.
    const announcement: Announcement = {
      id: identity.id,
      generation,
      incarnation,
      refutation,
      pid: identity.pid,
      host: identity.host,
      state: this.state,
      device: device.kind,
      deviceReason: this.options.deviceReason,
      contextReason: this.options.contextReason,
      trial: this.options.trial,
      address: this.address,
      fingerprint,
      budget: { device: config.cacheBytes, host: host?.budgetBytes ?? 0 },
      bytes: { device: onDevice?.bytes ?? 0, host: host?.bytes ?? 0 },
      blocks: store.blocks,
      blockBytes: blockBytes(device.layout),
      running,
      waiting,
      queuedTokens,
      capacity: { contextTokens, sequences, waiting: config.maxWaiting },
      hitRate: prompts === 0 ? 0 : cached / prompts,
      rates: { computeMsPerToken, decodeMsPerStep, fetchBytesPerMs: fetcher.rates.overall },
      computeAgeMs,
      disk: store.disk,
      holdingsSeq: holdings.lastSeq,
    };
    const tellsDamaged = config.allowChaos && damaged.length > 0;
    if (adapters.length === 0 && !tellsDamaged) return announcement;
    return { ...announcement, ...(adapters.length > 0 && { adapters }), ...(tellsDamaged && { damaged }) };
  }
}
