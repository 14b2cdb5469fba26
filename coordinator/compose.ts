import { hostname } from 'node:os';
import { logged } from '../src/actors/logged.js';
import type { RouteKind } from '../src/actors/route.js';
import { ActorSystem } from '../src/actors/system.js';
import { Pacing } from '../src/async/pacing.js';
import type { Bus } from '../src/bus/bus.js';
import type { KeyValue } from '../src/bus/key-value.js';
import type { Clock } from '../src/clock.js';
import type { CoordinatorConfig } from '../src/config/coordinator-config.js';
import { Holdings } from '../src/core/holdings.js';
import type { KvDependence } from '../src/core/kv-dependence.js';
import { blockBytes, type KvLayout } from '../src/core/kv-layout.js';
import type { Announcement } from '../src/core/member.js';
import type { MembershipEffect } from '../src/core/membership-events.js';
import { dialReport } from '../src/fleet/dial-report.js';
import { HearingLog } from '../src/fleet/hearing-log.js';
import { Roster } from '../src/fleet/roster.js';
import { fleetSubjects } from '../src/fleet/subjects.js';
import type { Lifecycle } from '../src/lifecycle.js';
import { PROBE_TIMEOUT_MS } from '../src/limits.js';
import type { Log } from '../src/log.js';
import { PacedLog } from '../src/paced-log.js';
import { PeerCallLinks } from '../src/peer/calls/peer-call-links.js';
import { PeerClient } from '../src/peer/client/peer-client.js';
import { COORDINATOR_ACTOR, CoordinatorProtocol } from '../src/protocol/coordinator.js';
import type { Surroundings } from '../src/surroundings.js';
import { LoadWatch } from './advice/load-watch.js';
import { BlockTiers } from './block-tiers.js';
import { ComputedKv } from './computed/computed-kv.js';
import type { ConsoleSources } from './console/console.js';
import { makeConsoleSources } from './console/console-sources.js';
import { RuntimeSurvey } from './console/runtime-survey.js';
import { DirectNews } from './direct-news.js';
import type { Fleet } from './fleet.js';
import { IndexKeeper } from './index-keeper.js';
import { Layers } from './layers/layers.js';
import { LiveFleet } from './live-fleet.js';
import { CoordinatorObjects } from './objects/coordinator-objects.js';
import { LinkEndings } from './poison/link-endings.js';
import { PoisonGuard } from './poison/poison-guard.js';
import { workerRelay } from './poison/worker-relay.js';
import { PurgeStore } from './purge/purge-store.js';
import { LivePurges } from './purge/purges.js';
import { RetryAnswers } from './purge/retry-answers.js';
import { QuarantinedWorkers } from './quarantined-workers.js';
import { Quotas } from './quota/quotas.js';
import { LazyBucket } from './retention/lazy-bucket.js';
import { Lease } from './retention/lease.js';
import { prefill } from './retention/prefill.js';
import type { Recompute } from './retention/recomputations.js';
import { RetentionKeeper } from './retention/retention-keeper.js';
import { RetentionStore } from './retention/retention-store.js';
import { LiveRetentions, type Retentions } from './retention/retentions.js';
import { StoreTime } from './retention/store-time.js';
import { Router } from './router.js';
import { LiveRuntimeView } from './runtime/runtime-view.js';
import { Siblings } from './siblings.js';
import type { Trail } from './trail/trail.js';

/** Makes and connects the parts of a coordinator below HTTP, and starts them. */

/** The workers to which links are opened within `GREETING_PACE_MS`; a thousand may join at one moment. */
const GREETINGS_AT_ONCE = 4;
const GREETING_PACE_MS = 5;

export interface CoordinatorOptions {
  readonly config: CoordinatorConfig;
  readonly incarnation: string;
  readonly fingerprint: string;
  readonly layout: KvLayout;
  readonly dependence: KvDependence;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly surroundings: Surroundings;
  readonly log: Log;
  /** Called when a request resumes on another worker. */
  readonly onResumed: () => void;
  /** A call set out, on this route. */
  readonly onCall: (path: RouteKind) => void;
  /** Opens the fleet's bucket. */
  readonly openBucket: () => Promise<KeyValue>;
  /** Why the store of the buckets does not work; null if it does. */
  readonly storeFault: () => string | null;
  /** Opens the bucket of the fleet's retentions. */
  readonly openRetentions: () => Promise<KeyValue>;
  /** A prompt that crashes workers was quarantined. */
  readonly onQuarantined: () => void;
  readonly trail: Trail;
  /** A request was refused because its prompt is quarantined. */
  readonly onPoisonRefused: () => void;
}

export interface CoordinatorParts {
  readonly fleet: Fleet;
  readonly retentions: Retentions;
  readonly retentionKeeper: RetentionKeeper;
  readonly layers: Layers;
  readonly purges: LivePurges;
  readonly actors: ActorSystem;
  readonly links: PeerCallLinks;
  readonly peers: PeerClient;
  /** Ids of workers that have joined and still need links. */
  readonly greetings: Pacing<string>;
  readonly roster: Roster;
  readonly keeper: IndexKeeper;
  readonly siblings: Siblings;
  readonly poison: PoisonGuard;
  readonly router: Router;
  readonly news: DirectNews;
  readonly quotas: Quotas;
  readonly load: LoadWatch;
  readonly quarantined: QuarantinedWorkers;
  readonly objects: CoordinatorObjects;
  readonly computed: ComputedKv;
  readonly console: ConsoleSources;
  readonly runtime: LiveRuntimeView;
}

/** Makes the parts. They are idle until `startCoordinatorParts`. */
export function makeCoordinatorParts(options: CoordinatorOptions): CoordinatorParts {
  const { config, incarnation, fingerprint, bus, clock, onResumed, storeFault } = options;
  const log = new PacedLog(options.log, clock);
  const subjects = fleetSubjects(config.namespace);
  const { replicas } = config;
  const peers = makePeers(options);
  const probe = async (target: Parameters<PeerClient['ping']>[0]) => void (await peers.ping(target, PROBE_TIMEOUT_MS));
  const self = { id: config.id, incarnation, generation: null };
  const roster = new Roster({ bus, clock, subjects, fingerprint, self, probe });
  const endings = new LinkEndings();
  const links = makeCallLinks(options, roster, endings);
  const actors = makeActors(options, links, roster);
  const holdings = new Holdings();
  const keeper = new IndexKeeper(holdings, roster, actors, bus, clock, subjects, log);
  const siblings = new Siblings(bus, clock, subjects, { id: config.id, pid: process.pid, host: hostname() });
  const poison = makePoisonGuard(options, { roster, actors, endings }, () => siblings.list().length === 1);
  const watched = makeConsoleSources({
    clock,
    actors,
    roster,
    holdings,
    replicas,
    random: options.surroundings.random,
    coordinators: () => siblings.list().length,
  });
  const router = new Router({
    journal: watched.journal,
    ...{ bus, actors, roster, holdings, clock, replicas, poison, onResumed },
    ...{ fingerprint, dependence: options.dependence },
    random: options.surroundings.random,
  });
  keeper.listen((worker) => router.holdingsChanged(worker));
  const tiers = new BlockTiers(roster, actors, log);
  const onQuarantined = (worker: string, by: readonly string[]) =>
    options.trail.write({ event: 'worker_quarantined', worker, by: [...by] });
  const { id } = config;
  const quarantined = new QuarantinedWorkers({ self: { id, incarnation }, bus, roster, subjects, log, onQuarantined });
  const load = new LoadWatch({ clock, members: () => roster.members(), holdings, replicas });
  const fleet = new LiveFleet({
    ...{ load, bus, clock, actors, roster, holdings, router },
    ...{ siblings, tiers, replicas, quarantined, storeFault },
  });
  const retained = makeRetentions(options, { actors, roster, router, siblings }, holdings);
  const news = new DirectNews(actors, roster, clock);
  const { wallMs } = options.surroundings;
  const quotas = new Quotas({ bus, clock, wallMs, subject: subjects.usage, self: incarnation });
  const greetings = new Pacing<string>(clock, GREETINGS_AT_ONCE, GREETING_PACE_MS, (worker) =>
    greet(worker, { links, peers, roster }, log),
  );
  const parts = { fleet, ...retained, actors, links, peers, greetings, roster, keeper, siblings, poison, router, news };
  const objects = new CoordinatorObjects(roster, replicas, peerOptions(options));
  const computed = new ComputedKv({ layout: options.layout, roster, holdings, actors, peers, replicas });
  const runtime = new LiveRuntimeView(bus, clock, config.namespace, actors);
  const console = { ...watched, runtime: new RuntimeSurvey(runtime, clock) };
  return { ...parts, quotas, load, quarantined, objects, computed, console, runtime };
}

/** Starts the parts. `life` stops them. */
export async function startCoordinatorParts(
  life: Lifecycle,
  parts: CoordinatorParts,
  { clock, log }: Pick<CoordinatorOptions, 'clock' | 'log'>,
): Promise<void> {
  const { actors, links, peers, roster, keeper, siblings, poison, news } = parts;
  life.use(peers, () => peers.close());
  life.use(parts.greetings, (greetings) => greetings.stop());
  life.use(links, () => links.close());
  life.use(parts.objects, (objects) => objects.close());
  await life.start(actors);
  await actors.spawn(CoordinatorProtocol, COORDINATOR_ACTOR, () => ({
    announced: (announcement, { from }) => hearOf(roster, announcement, from),
    left: ({ id, incarnation }) => roster.hearLeave(id, incarnation),
    holdings: (change) => keeper.hear(change),
    suspicion: (message) => poison.hearByWorker(message),
  }));
  const paced = new PacedLog(log, clock);
  const members = () => roster.members();
  const hearing = new HearingLog({ role: 'coordinator', id: null, log: paced, members });
  roster.listen((effect) => follow(effect, { ...parts, hearing }, paced));
  peers.onLinkClosed((id, incarnation) => roster.linkClosed(id, incarnation));
  await life.start(poison);
  await life.start(parts.quarantined);
  await life.start(keeper);
  await life.start(roster);
  await life.start(siblings);
  await life.start(parts.retentionKeeper);
  await life.start(parts.purges);
  await life.start(news);
  await life.start(parts.quotas);
  await life.start(parts.load);
  await parts.runtime.start(life);
}

function makeRetentions(
  { config, incarnation, clock, surroundings, openRetentions, dependence, trail, ...options }: CoordinatorOptions,
  { actors, roster, router, siblings }: Pick<CoordinatorParts, 'actors' | 'roster' | 'router' | 'siblings'>,
  holdings: Holdings,
): Pick<CoordinatorParts, 'retentions' | 'retentionKeeper' | 'layers' | 'purges'> {
  const { replicas } = config;
  const log = new PacedLog(options.log, clock);
  const kv = new StoreTime(new LazyBucket(openRetentions), clock);
  const { random, wallMs } = surroundings;
  const store = new RetentionStore(kv, random);
  const lease = new Lease({ kv, clock, self: `${config.id}/${incarnation}` });
  const blocksOf = router.blocksOf.bind(router);
  const shared = { time: kv, roster, store, replicas, blocksOf };
  const recompute: Recompute = (id, worker, prompt, signal) => prefill(router, id, worker, prompt, signal);
  const layers = new Layers(dependence);
  const retentionKeeper = new RetentionKeeper({ ...shared, clock, actors, lease, log, recompute, layers });
  const retentions = new LiveRetentions({ ...shared, random, holdings, keeper: retentionKeeper });
  const purgeStore = new PurgeStore(kv, wallMs);
  const purges = new LivePurges({
    ...{ clock, wallMs, random, roster, actors, blocksOf },
    store: purgeStore,
    retentions: store,
    answers: new RetryAnswers(actors, () => siblings.list().length, log),
    trail,
    log,
  });
  return { retentions, retentionKeeper, layers, purges };
}

function makePoisonGuard(
  options: CoordinatorOptions,
  { actors, ...parts }: { readonly roster: Roster; readonly actors: ActorSystem; readonly endings: LinkEndings },
  alone: () => boolean,
): PoisonGuard {
  const { config, incarnation: self, bus, clock, log, openBucket, onPoisonRefused: onRefused } = options;
  const onQuarantined = () => {
    options.onQuarantined();
    options.trail.write({ event: 'prompt_quarantined' });
  };
  const { secret, namespace } = config;
  const subjects = fleetSubjects(namespace);
  const own = { bus, clock, subjects, log, self, secret, openBucket, alone, ...parts, relay: workerRelay(actors) };
  return new PoisonGuard({ ...own, onQuarantined, onRefused });
}

function makeCallLinks(options: CoordinatorOptions, roster: Roster, endings: LinkEndings): PeerCallLinks {
  const log = new PacedLog(options.log, options.clock);
  return new PeerCallLinks({
    ...peerOptions(options),
    addressOf: ({ node, incarnation: of }) => roster.addressOf(node, of),
    onLinkOpened: ({ node, incarnation: of }) => {
      log.state('calls', 'info', { peer: node, incarnation: of }, 'opened a connection for calls');
      endings.opened(node, of);
    },
    onLinkClosed: ({ node, incarnation: of }, err) => {
      log.state('calls', 'info', { peer: node, incarnation: of, err }, 'lost a connection for calls');
      endings.ended(node, of, err);
      roster.linkClosed(node, of);
    },
    onDialFailed: dialReport(options.log),
  });
}

function makeActors(
  { config, incarnation, bus, clock, surroundings, log, onCall }: CoordinatorOptions,
  links: PeerCallLinks,
  roster: Roster,
): ActorSystem {
  return new ActorSystem({
    bus,
    links,
    onCall,
    heardMs: ({ node, incarnation: of }) => roster.heardMs(node, of),
    clock,
    random: surroundings.random,
    node: { id: config.id, incarnation },
    namespace: config.namespace,
    observe: logged(log),
  });
}

function makePeers(options: CoordinatorOptions): PeerClient {
  return new PeerClient({ ...peerOptions(options), blockBytes: blockBytes(options.layout) });
}

/** How a coordinator dials workers. */
function peerOptions({ config, incarnation, fingerprint, clock, surroundings }: CoordinatorOptions) {
  return {
    identity: { id: config.id, incarnation, fingerprint },
    hostId: surroundings.hostId,
    network: surroundings.network,
    random: surroundings.random,
    secret: config.secret,
    tls: config.peerTls ?? undefined,
    clock,
  };
}

/** Takes a direct announcement. A report by another worker counts only for a process that is not known yet, because it may be out of date. */
function hearOf(roster: Roster, announcement: Announcement, from: string): void {
  const { id, incarnation } = announcement;
  if (from === id || !roster.knows(id, incarnation)) roster.hear(announcement);
}

/** Reacts to a change of membership: opens links to a worker that joined, and ends the calls of a worker that is gone. */
function follow(
  effect: MembershipEffect,
  { actors, links, greetings, hearing }: CoordinatorParts & { readonly hearing: HearingLog },
  log: PacedLog,
): void {
  if (effect.type === 'refused' && effect.first) log.warn({ reason: effect.reason }, effect.message);
  if (effect.type === 'hearing') hearing.changed(effect.hears);
  if (effect.type === 'joined') {
    actors.nodeBack(effect.id, effect.incarnation);
    log.state('worker', 'info', { worker: effect.id, incarnation: effect.incarnation }, 'a worker joined');
    greetings.add(effect.id);
  }
  if (effect.type === 'dead' || effect.type === 'left') {
    log.state(
      'worker',
      'warn',
      { worker: effect.id, incarnation: effect.incarnation },
      `a worker ${effect.type === 'left' ? 'left' : 'is dead'}`,
    );
    links.forget({ node: effect.id, incarnation: effect.incarnation });
    actors.nodeGone(effect.id, effect.incarnation);
  }
}

/** Opens links to a worker that has joined. */
function greet(id: string, { links, peers, roster }: Pick<CoordinatorParts, 'links' | 'peers' | 'roster'>, log: Log) {
  const member = roster.alive(id);
  if (member === null) return;
  links.connect({ node: id, incarnation: member.incarnation });
  // The ping opens a link that stays open and closes as soon as the worker's process ends, which membership then sees at once.
  peers.ping(member, PROBE_TIMEOUT_MS).catch((err) => log.warn({ worker: id, err }, 'cannot open a link to a worker'));
}
