import { logged } from '../src/actors/logged.js';
import { ActorSystem } from '../src/actors/system.js';
import { within } from '../src/async/within.js';
import type { Bus } from '../src/bus/bus.js';
import type { Clock } from '../src/clock.js';
import type { WorkerConfig } from '../src/config/worker-config.js';
import { blockBytes } from '../src/core/kv-layout.js';
import type { Announcement, PeerAddress } from '../src/core/member.js';
import type { MembershipEffect } from '../src/core/membership-events.js';
import { middle } from '../src/core/rates.js';
import { roleOf } from '../src/core/replication.js';
import type { Device } from '../src/device/device.js';
import { Engine } from '../src/engine/engine.js';
import type { ModelGraph } from '../src/engine/model-graph.js';
import { Announcer } from '../src/fleet/announcer.js';
import { hostId } from '../src/fleet/identity.js';
import { Roster } from '../src/fleet/roster.js';
import { fleetSubjects } from '../src/fleet/subjects.js';
import { DRAIN_TIMEOUT_MS, FLUSH_TIMEOUT_MS, HAND_OVER_TIMEOUT_MS, PROBE_TIMEOUT_MS } from '../src/limits.js';
import type { Log } from '../src/log.js';
import { setSendBuffer } from '../src/native/libc.js';
import { openProcessMemory } from '../src/native/process-memory.js';
import { PeerClient } from '../src/peer/client/peer-client.js';
import { PeerServer } from '../src/peer/server/peer-server.js';
import { SystemRandom } from '../src/random.js';
import type { BlockFiles } from './cache/block-folder.js';
import type { BlockStore } from './cache/block-store.js';
import { tieredCache } from './cache/tiered-cache.js';
import { HoldingsLog } from './holdings-log.js';
import { Instruments } from './instruments.js';
import { NO_CACHE } from './prefix/no-cache.js';
import { PeerFetcher } from './prefix/peer-fetcher.js';
import { PrefixLoader } from './prefix/prefix-loader.js';
import type { Promoter } from './prefix/promoter.js';
import { Replicator } from './replication/replicator.js';
import { spawnWorkerActors } from './worker-actors.js';

export interface WorkerOptions {
  readonly config: WorkerConfig;
  readonly identity: { readonly id: string; readonly incarnation: string; readonly pid: number; readonly host: string };
  readonly fingerprint: string;
  readonly eosTokenIds: readonly number[];
  readonly graph: ModelGraph;
  readonly device: Device;
  /** Why this device. */
  readonly deviceReason: string;
  /** The folder of the disk tier; null for none. This worker closes it. */
  readonly files: BlockFiles | null;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Log;
  /** This incarnation is over for the others, for the reason given: this process has to go. Called once. */
  readonly onOver: (why: string) => void;
}

const WHY_OVER = {
  fenced: 'another worker has taken this name: give every worker an id of its own',
  silence: 'the others took this worker for dead, as it slept or was cut off: it has to be started anew',
  link: 'the others took this worker for dead, as it could not be reached: it has to be started anew',
};

/** One worker: engine, shard and peers over one device, put together. Of its own it has but its life: starting, serving, draining. */
export class Worker {
  private state: Announcement['state'] = 'starting';
  /** Others have buried this worker: nobody waits any more for what it still does. */
  private over = false;
  private address: PeerAddress = { hostId: hostId(), unixPath: null, tcpHost: null, tcpPort: null };
  private readonly instruments: Instruments;
  private readonly store: BlockStore;
  private readonly roster: Roster;
  private readonly peers: PeerClient;
  private readonly server: PeerServer;
  private readonly fetcher: PeerFetcher;
  private readonly engine: Engine;
  private readonly holdings: HoldingsLog;
  private readonly replicator: Replicator;
  private readonly announcer: Announcer;
  private readonly actors: ActorSystem;
  private readonly blockBytes: number;

  constructor(private readonly options: WorkerOptions) {
    const { config, identity, fingerprint, graph, device, bus, clock, log } = options;
    const { secret, replicas } = config;
    const tls = config.peerTls ?? undefined;
    const { id, incarnation } = identity;
    const subjects = fleetSubjects(config.namespace);
    const layout = device.layout;
    const bytes = blockBytes(layout);
    this.blockBytes = bytes;
    this.instruments = new Instruments({
      loadChanged: () => this.announcer.soon(),
      blockNotKept: (err) => log.error({ err }, 'a computed block could not be kept'),
    });
    const peerIdentity = { id, incarnation, fingerprint };
    const observer = this.instruments.peers;
    this.peers = new PeerClient({
      identity: peerIdentity,
      hostId: hostId(),
      secret,
      blockBytes: bytes,
      openMemory: openProcessMemory,
      observer,
      clock,
      setSendBuffer,
      tls,
    });
    this.roster = new Roster({
      bus,
      clock,
      subjects,
      fingerprint,
      self: id,
      probe: async (target) => void (await this.peers.ping(target, PROBE_TIMEOUT_MS)),
    });
    const computeMsPerToken = () => this.computeMsPerToken();
    const homesOf = (segment: string) => this.roster.ring.homes(segment, replicas);
    const { store, promoter } = tieredCache({
      ...options,
      runtime: graph.runtime,
      roleOf: (block) => roleOf(block, id, homesOf),
      computeMsPerToken,
      onDamage: () => this.instruments.damaged(),
    });
    this.store = store;
    this.server = new PeerServer({
      identity: peerIdentity,
      secret,
      host: this.store,
      blockBytes: bytes,
      observer,
      clock,
      setSendBuffer,
      tls,
    });
    this.fetcher = new PeerFetcher({
      self: id,
      store: this.store,
      peers: this.peers,
      roster: this.roster,
      clock,
      replicas,
      blockTokens: layout.blockTokens,
      blockBytes: bytes,
      computeMsPerToken,
    });
    this.engine = this.makeEngine(promoter);
    this.holdings = new HoldingsLog(this.store, bus, clock, { id, incarnation, subject: subjects.holdings(id) });
    this.replicator = new Replicator({
      self: id,
      store: this.store,
      peers: this.peers,
      roster: this.roster,
      clock,
      replicas,
      onLag: (waiting, lacking) => this.instruments.lag(waiting, lacking),
      onMoved: (blocks) => this.instruments.moved(blocks),
    });
    this.announcer = new Announcer(bus, clock, subjects, () => this.describe());
    const node = { id, incarnation };
    const observe = logged(log);
    this.actors = new ActorSystem({
      bus,
      clock,
      random: new SystemRandom(),
      node,
      namespace: config.namespace,
      observe,
    });
    this.instruments.watch(this.store, () => ({
      epoch: this.roster.epoch,
      workers: this.roster.members(),
    }));
  }

  /** Joins the fleet. Resolves with the addresses when this worker serves. */
  async start(): Promise<{ peer: PeerAddress; metrics: string | null }> {
    const { config, log } = this.options;
    const { socketPath, host, port, advertiseHost } = config.peer;
    await this.store.open();
    const listening = await this.server.listen({
      unixPath: socketPath,
      tcpHost: port === null ? null : host,
      tcpPort: port,
    });
    const tcpHost = listening.tcpPort === null ? null : advertiseHost;
    this.address = { ...this.address, unixPath: listening.unixPath, tcpPort: listening.tcpPort, tcpHost };
    await this.spawnActors();
    this.peers.onLinkClosed((id, incarnation) => this.roster.linkClosed(id, incarnation));
    this.server.onLinkClosed((id, incarnation) => this.roster.linkClosed(id, incarnation));
    this.roster.listen((effect) => this.follow(effect));
    this.roster.start();
    this.announcer.start();
    const metrics = config.metrics
      ? await this.instruments.serve(config.metrics, () => this.state === 'serving')
      : null;
    this.become('serving');
    log.info({ address: this.address }, 'joined');
    return { peer: this.address, metrics };
  }

  /** Takes nothing new, finishes what runs, hands blocks on, leaves; each within a limit. */
  async stop(): Promise<void> {
    const { clock, log } = this.options;
    this.drain();
    const finished = this.over || (await within(clock, DRAIN_TIMEOUT_MS, this.engine.idle()));
    if (!finished)
      log.warn({ running: this.engine.stats().running }, 'requests were cut off: they took too long to finish');
    const handedOn = this.over || (await within(clock, HAND_OVER_TIMEOUT_MS, this.replicator.idle()));
    if (!handedOn) log.warn({ blocks: this.replicator.lagBlocks }, 'not all blocks were handed on in time');
    this.replicator.stop();
    this.holdings.stop();
    await this.engine.close();
    await this.actors.stop();
    this.announcer.leave();
    this.roster.stop();
    this.peers.close();
    await this.server.close();
    await this.instruments.close();
    // Connections let go of blocks a turn or two after they were closed.
    await within(clock, HAND_OVER_TIMEOUT_MS, this.store.quiet());
    const flushed = this.over || (await within(clock, FLUSH_TIMEOUT_MS, this.store.idle()));
    if (!flushed) log.warn({}, 'not all blocks were written to disk in time');
    await this.store.close();
  }

  private makeEngine(promoter: Promoter): Engine {
    const { config, fingerprint, eosTokenIds, graph, device, clock } = this.options;
    return new Engine({
      graph,
      device,
      cache: config.cache ? new PrefixLoader(this.store, this.fetcher, promoter) : NO_CACHE,
      fingerprint,
      eosTokenIds,
      prefillChunkTokens: config.prefillChunkTokens,
      maxWaiting: config.maxWaiting,
      clockNow: () => clock.now(),
      observer: this.instruments.engine,
    });
  }

  private spawnActors(): Promise<void> {
    const { engine, store, holdings, replicator } = this;
    return spawnWorkerActors(this.actors, {
      ...{ engine, store, holdings, replicator },
      log: this.options.log,
      draining: () => this.state === 'draining',
      drain: () => this.drain(),
      end: (why) => this.end(why),
    });
  }

  /** As measured here, else as the others have measured it. */
  private computeMsPerToken(): number | null {
    const others = () => this.roster.members().map(({ rates }) => rates.computeMsPerToken);
    return this.engine.stats().computeMsPerToken ?? middle(others());
  }

  private drain(): void {
    if (this.state !== 'draining') this.become('draining');
  }

  private become(state: Announcement['state']): void {
    this.state = state;
    this.roster.hear(this.describe());
    this.announcer.announce();
  }

  private follow(effect: MembershipEffect): void {
    const { identity, log } = this.options;
    if (effect.type === 'refused' && effect.first) log.warn({ reason: effect.reason }, effect.message);
    if (effect.type === 'refused' && effect.reason === 'stale' && effect.incarnation === identity.incarnation)
      this.end('a newer worker has this name: give every worker an id of its own');
    if (effect.type !== 'dead' && effect.type !== 'left') return;
    if (effect.id === identity.id) {
      if (effect.type === 'dead') this.end(WHY_OVER[effect.cause]);
      return;
    }
    if (effect.type === 'dead') log.warn({ peer: effect.id, cause: effect.cause }, 'a worker is dead');
    this.fetcher.rates.forget(effect.id);
    this.actors.nodeGone(effect.id, effect.incarnation);
  }

  private end(why: string): void {
    if (this.over) return;
    this.over = true;
    this.options.onOver(why);
  }

  private describe(): Announcement {
    const { config, identity, fingerprint, device } = this.options;
    const stats = this.engine.stats();
    const [onDevice, host] = (['device', 'host'] as const).map((name) =>
      this.store.tiers.find(({ tier }) => tier === name),
    );
    this.instruments.sample(stats, device.copies());
    const { running, waiting, promptTokens, computeMsPerToken, decodeMsPerStep } = stats;
    const cached = promptTokens.local + promptTokens.remote;
    const prompts = cached + promptTokens.computed;
    return {
      ...identity,
      state: this.state,
      device: device.kind,
      deviceReason: this.options.deviceReason,
      address: this.address,
      fingerprint,
      budget: { device: config.cacheBytes, host: host?.budgetBytes ?? 0 },
      bytes: { device: onDevice?.bytes ?? 0, host: host?.bytes ?? 0 },
      blocks: this.store.blocks,
      blockBytes: this.blockBytes,
      running,
      waiting,
      hitRate: prompts === 0 ? 0 : cached / prompts,
      rates: { computeMsPerToken, decodeMsPerStep, fetchBytesPerMs: this.fetcher.rates.overall },
      holdingsSeq: this.holdings.lastSeq,
    };
  }
}
