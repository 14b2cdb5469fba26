import type { ActorSystem } from '../src/actors/system.js';
import type { Bus } from '../src/bus/bus.js';
import type { Clock } from '../src/clock.js';
import type { WorkerConfig } from '../src/config/worker-config.js';
import type { TokenTrie } from '../src/core/constraint/token-trie.js';
import { roleUnder } from '../src/core/durability.js';
import type { GraphTrial } from '../src/core/graph-trial.js';
import { blockBytes } from '../src/core/kv-layout.js';
import type { Device } from '../src/device/device.js';
import type { AdapterShelf } from '../src/engine/adapter-shelf.js';
import { Engine } from '../src/engine/engine.js';
import type { MakeRunner } from '../src/engine/graph-runner.js';
import type { ModelGraph } from '../src/engine/model-graph.js';
import type { EndedSequence, SequenceOutcome } from '../src/engine/observer.js';
import { Roster } from '../src/fleet/roster.js';
import { fleetSubjects } from '../src/fleet/subjects.js';
import type { OwnModel } from '../src/hub/fleet/shared-model.js';
import { PROBE_TIMEOUT_MS } from '../src/limits.js';
import type { Log } from '../src/log.js';
import { AdapterFolder } from '../src/model/adapter/adapter-folder.js';
import { PacedLog } from '../src/paced-log.js';
import type { PeerCallLinks } from '../src/peer/calls/peer-call-links.js';
import type { PeerClient } from '../src/peer/client/peer-client.js';
import { PeerServer } from '../src/peer/server/peer-server.js';
import type { Surroundings } from '../src/surroundings.js';
import { PASSING_TRACER, type Tracer } from '../src/trace/span.js';
import { workerAdapters } from './adapters/worker-adapters.js';
import { Auditor } from './audit/auditor.js';
import { EvidenceSearch } from './audit/evidence-search.js';
import { GuardedHost } from './audit/guarded-host.js';
import { type Hands, handsOf } from './audit/hands.js';
import { MakerQuarantine } from './audit/maker-quarantine.js';
import type { Trust } from './audit/trust.js';
import type { BlockFiles } from './cache/block-folder.js';
import type { BlockStore } from './cache/block-store.js';
import { tieredCache } from './cache/tiered-cache.js';
import type { WorkerFaults } from './chaos/worker-faults.js';
import { ComputeSpeed } from './compute-speed.js';
import { acceptModels, makeActors, makeCallLinks, makePeerClient, peerOptions } from './connections.js';
import { type CoordinatorContacts, coordinatorContacts, peerRoles } from './coordinators.js';
import { HoldingsLog } from './holdings-log.js';
import { Instruments } from './instruments.js';
import { ServedObjects } from './objects/served-objects.js';
import { NO_CACHE } from './prefix/no-cache.js';
import { PeerFetcher } from './prefix/peer-fetcher.js';
import { PrefixLoader } from './prefix/prefix-loader.js';
import type { Promoter } from './prefix/promoter.js';
import { AntiEntropy } from './replication/anti-entropy.js';
import { RepairShare } from './replication/repair-share.js';
import { Replicator } from './replication/replicator.js';
import { TracedBlocks } from './replication/traced-blocks.js';

/** Makes the parts of a worker and connects them to each other. The parts are idle until they are started. */

export interface WorkerOptions {
  readonly config: WorkerConfig;
  readonly identity: {
    readonly id: string;
    readonly incarnation: string;
    readonly generation: number;
    readonly pid: number;
    readonly host: string;
  };
  readonly fingerprint: string;
  readonly eosTokenIds: readonly number[];
  /** The bytes of the model's tokens. Without them no answer can be constrained. */
  readonly vocabulary?: TokenTrie;
  readonly graph: ModelGraph;
  /** Makes what runs the graph. Default: the runner for its kind. */
  readonly makeRunner?: MakeRunner;
  /** Tokens of an answer that are guessed at a time; default 0. */
  readonly draftTokens?: number;
  readonly device: Device;
  /** The files of the model, if it is one of the hub: peers may have them. Default: none. */
  readonly modelFiles?: OwnModel | null;
  /** Why this device was chosen. */
  readonly deviceReason: string;
  readonly contextReason: string;
  /** The measurements of the model's trial; null if there was none. */
  readonly trial: GraphTrial | null;
  /** The folder of the disk tier; null for none. The worker closes it. */
  readonly files: BlockFiles | null;
  /** The folder of objects on disk; its opener closes it. Default: none. */
  readonly objectFiles?: BlockFiles | null;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly surroundings: Surroundings;
  readonly log: Log;
  /** Null: nothing is recorded. */
  readonly tracer?: Tracer | null;
  /** The faults that coordinators may order. Default: none. */
  readonly faults?: WorkerFaults | null;
  /** Called once, with the reason, when this worker cannot continue: a later process took over its ID, or it failed. The process has to exit. */
  readonly onOver: (why: string) => void;
}

/** The parts that communicate with other processes of the fleet. */
interface FleetParts extends CoordinatorContacts {
  readonly links: PeerCallLinks;
  readonly actors: ActorSystem;
  readonly roster: Roster;
  readonly peers: PeerClient;
}

/** The parts that recompute blocks and act on the results. */
interface AuditParts {
  readonly auditor: Auditor;
  readonly quarantine: MakerQuarantine;
}

/** The parts that store blocks and transfer them to and from peers. */
interface CacheParts {
  readonly hands: Hands;
  readonly store: BlockStore;
  readonly promoter: Promoter;
  readonly traced: TracedBlocks;
  readonly server: PeerServer;
  readonly fetcher: PeerFetcher;
  readonly holdings: HoldingsLog;
  readonly replicator: Replicator;
  /** Null: this worker has no objects. */
  readonly objects: ServedObjects | null;
}

interface CacheWishes {
  readonly speed: ComputeSpeed;
  readonly share: RepairShare;
  readonly trust: Trust;
  readonly objects: ServedObjects | null;
}

export interface WorkerParts extends FleetParts, AuditParts, Omit<CacheParts, 'promoter' | 'hands' | 'traced'> {
  readonly instruments: Instruments;
  readonly engine: Engine;
  /** Null if the model takes none. */
  readonly adapters: AdapterShelf | null;
}

export function makeWorkerParts(options: WorkerOptions): WorkerParts {
  const { log, clock, surroundings } = options;
  const paced = new PacedLog(log, clock);
  const owner = {
    blockNotKept: (err: unknown, requestId: string) => paced.error({ requestId, err }, 'cannot keep a computed block'),
    ran: (outcome: SequenceOutcome, durationMs: number, { traceId, ...ended }: EndedSequence) =>
      log.info({ ...ended, ...(traceId === null ? {} : { traceId }), outcome, durationMs }, 'ran a request'),
    damaged: (damaged: object) => paced.warn({ ...damaged }, 'refused a block whose bytes do not match its digest'),
  };
  const instruments = new Instruments(owner, surroundings.processMetrics);
  const fleet = makeFleetParts(options, instruments);
  const { roster } = fleet;
  const speed = new ComputeSpeed(roster);
  const share = new RepairShare(clock);
  // The cache needs `Trust` before the quarantine exists, which itself needs the engine.
  const trust: Trust = {
    trusts: (worker) => audit.quarantine.trusts(worker),
    accepts: (block) => audit.quarantine.accepts(block),
  };
  const objects = makeObjects(options, instruments, fleet);
  const { promoter, hands, traced, ...cache } = makeCacheParts(options, instruments, fleet, {
    speed,
    share,
    trust,
    objects,
  });
  const adapters = workerAdapters({
    ...{ graph: options.graph, device: options.device, log, registry: instruments.registry },
    folder: new AdapterFolder(options.config.adapterDir),
    budgetBytes: options.config.adapterBytes,
    engine: () => engine,
    onChange: () => instruments.loadChanged(),
  });
  const engine: Engine = makeEngine(options, instruments, { ...cache, promoter, traced, adapters });
  const audit: AuditParts = makeAuditParts(options, instruments, fleet, { store: cache.store, hands, engine });
  speed.measureBy(() => engine.stats().computeMsPerToken);
  // A worker that drains hands its blocks over as fast as it can.
  share.watch(() => engine.stats().running > 0 && roster.ring.members.includes(options.identity.id));
  instruments.watch(cache.store, () => ({
    epoch: roster.epoch,
    workers: roster.members(),
    natsConnected: options.bus.connected,
  }));
  // A process that another one replaced, or that is gone, is still not trusted, but nobody needs to act on it.
  instruments.watchAudit(() =>
    audit.quarantine.accused.filter(({ maker }) => roster.knows(maker.id, maker.incarnation)),
  );
  return { instruments, ...fleet, ...cache, ...audit, engine, adapters };
}

function makeAuditParts(
  options: WorkerOptions,
  instruments: Instruments,
  { roster, peers }: FleetParts,
  { store, hands, engine }: Pick<CacheParts, 'store' | 'hands'> & { readonly engine: Engine },
): AuditParts {
  const { config, identity, fingerprint, device, bus, clock, surroundings } = options;
  const log = new PacedLog(options.log, clock);
  const self = { id: identity.id, incarnation: identity.incarnation };
  const auditor = new Auditor({
    ...{ self, fingerprint, engine, store, device, clock },
    dependence: options.graph.dependence,
    random: surroundings.random,
    oneIn: config.cache ? config.auditOneIn : 0,
    onWrong: (wrong) => quarantine.found(wrong),
    onAudited: (outcome) => instruments.audited(outcome),
    onFailed: (err) => log.error({ err }, 'an audit failed'),
  });
  const { blockTokens } = device.layout;
  const search = new EvidenceSearch({ fingerprint, blockTokens, auditor, roster, peers, clock });
  const subjects = fleetSubjects(config.namespace);
  const quarantine = new MakerQuarantine({
    ...{ self, store, hands, search, roster, bus, clock, subjects, log },
    onDropped: (blocks) => instruments.wrongBlocks(blocks),
  });
  return { auditor, quarantine };
}

function makeFleetParts(options: WorkerOptions, instruments: Instruments): FleetParts {
  const { config, fingerprint, bus, clock, identity } = options;
  const peers = makePeerClient(options, instruments);
  const roster = new Roster({
    bus,
    clock,
    subjects: fleetSubjects(config.namespace),
    fingerprint,
    self: identity,
    probe: async (target) => void (await peers.ping(target, PROBE_TIMEOUT_MS)),
  });
  const links = makeCallLinks(options, instruments, roster);
  const actors = makeActors(options, links, instruments, roster);
  return { links, actors, ...coordinatorContacts(options, actors, roster), roster, peers };
}

function makeCacheParts(
  options: WorkerOptions,
  instruments: Instruments,
  { links, linked, roster, peers }: FleetParts,
  { speed, share, trust, objects }: CacheWishes,
): CacheParts {
  const { config, identity, graph, device, bus, clock } = options;
  const { id, incarnation } = identity;
  const { replicas } = config;
  const computeMsPerToken = () => speed.msPerToken();
  const homesOf = (segment: string) => roster.ring.homes(segment, replicas);
  const { store, promoter } = tieredCache({
    ...options,
    self: { id, incarnation },
    runtime: graph.runtime,
    roleOf: (block) => roleUnder(config.durability, block, id, homesOf),
    computeMsPerToken,
    onAnswers: () => instruments.loadChanged(),
    onDamage: (block) => instruments.damagedFile(block),
  });
  const shared = { self: id, store, peers, roster, clock, replicas };
  const copying = {
    ...shared,
    random: options.surroundings.random,
    share,
    onMoved: (blocks: number) => instruments.moved(blocks),
  };
  const tracer = options.tracer ?? PASSING_TRACER;
  const traced = new TracedBlocks(tracer);
  const replicator = new Replicator({
    ...{ ...copying, traced },
    durability: config.durability,
    onLag: (waiting, lacking) => instruments.lag(waiting, lacking),
  });
  const antiEntropy = new AntiEntropy({ ...copying, replicator, onNoRoom: (copies) => instruments.noRoom(copies) });
  const { blockTokens } = device.layout;
  const subjects = fleetSubjects(config.namespace);
  const hands = handsOf(store, { id, incarnation }, roster);
  const host = new GuardedHost(store, hands, trust, (peer, key) => instruments.tally.delivered(peer, 'pushed', key));
  return {
    hands,
    objects,
    store,
    promoter,
    traced,
    server: new PeerServer({
      ...peerOptions(options, instruments),
      host: options.faults?.corruption.host(host) ?? host,
      roleOf: peerRoles(roster, linked),
      onCalls: links.accept,
      onObjects: objects?.accept,
      onModels: acceptModels(options.modelFiles ?? null),
      comparer: (peer, summary) => antiEntropy.compare(peer, summary),
      tracer,
    }),
    fetcher: new PeerFetcher({
      ...shared,
      policy: config.fetch,
      blockTokens,
      blockBytes: blockBytes(device.layout),
      computeMsPerToken,
      trust,
      hands,
      onKept: (peer, key) => instruments.tally.delivered(peer, 'fetched', key),
    }),
    holdings: new HoldingsLog(store, bus, clock, { id, incarnation, subject: subjects.holdings(id) }, linked),
    replicator,
  };
}

function makeObjects(
  options: WorkerOptions,
  instruments: Instruments,
  { roster, actors }: FleetParts,
): ServedObjects | null {
  const { config, identity, clock, surroundings, log } = options;
  if (config.objectBytes === 0) return null;
  const { incarnation } = identity;
  const own = { config, incarnation, dialling: peerOptions(options, instruments), files: options.objectFiles ?? null };
  return new ServedObjects({ ...own, roster, actors, clock, surroundings, log, registry: instruments.registry });
}

function makeEngine(
  options: WorkerOptions,
  instruments: Instruments,
  {
    store,
    fetcher,
    promoter,
    traced,
    adapters,
  }: Pick<CacheParts, 'store' | 'fetcher' | 'promoter' | 'traced'> & Pick<WorkerParts, 'adapters'>,
): Engine {
  const { config, fingerprint, eosTokenIds, vocabulary, graph, makeRunner, draftTokens = 0, device, clock } = options;
  const { tally } = instruments;
  return new Engine({
    graph,
    ...(makeRunner && { makeRunner }),
    device,
    cache: config.cache
      ? new PrefixLoader(store, fetcher, promoter, traced, (id, blocks) => tally.found(id, blocks))
      : NO_CACHE,
    adapters,
    fingerprint,
    eosTokenIds,
    vocabulary,
    ...{ prefill: config.prefill, draftTokens },
    maxWaiting: config.maxWaiting,
    clockNow: () => clock.now(),
    observer: instruments.engine,
  });
}
