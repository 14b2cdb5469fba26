import type { RouteKind } from '../src/actors/route.js';
import { natsTransport } from '../src/bus/nats-transport.js';
import { sealTransport } from '../src/bus/sealed-transport.js';
import type { Transport } from '../src/bus/transport.js';
import { type Clock, SystemClock } from '../src/clock.js';
import type { CoordinatorConfig } from '../src/config/coordinator-config.js';
import { packageVersion } from '../src/config/package-root.js';
import type { Salt } from '../src/core/salt.js';
import { Refused, Unavailable } from '../src/errors.js';
import { BucketKeeper } from '../src/fleet/bucket-keeper.js';
import { logBusStatus, settled } from '../src/fleet/bus-log.js';
import { droppedLog } from '../src/fleet/dropped-log.js';
import { newIncarnation } from '../src/fleet/identity.js';
import { natsInbox } from '../src/fleet/nats-rights.js';
import { storeCheck } from '../src/fleet/store-check.js';
import { fleetSubjects } from '../src/fleet/subjects.js';
import { Lifecycle } from '../src/lifecycle.js';
import { PROCESS_STOP_MS } from '../src/limits.js';
import { AdjustableLog, type Log } from '../src/log.js';
import { CoordinatorMetrics } from '../src/metrics/coordinator-metrics.js';
import { sendMetrics } from '../src/metrics/open-metrics.js';
import { MetricsRegistry } from '../src/metrics/registry.js';
import { largestObject } from '../src/objects/object.js';
import { OpenFilesWatch } from '../src/open-files-watch.js';
import { PacedLog } from '../src/paced-log.js';
import { ACCESS_ACTOR, AccessProtocol } from '../src/protocol/access.js';
import { ANSWERS_ACTOR, AnswersProtocol } from '../src/protocol/answers.js';
import { DISTURBANCES_ACTOR, DisturbancesProtocol } from '../src/protocol/disturbances.js';
import { Reloads } from '../src/reload.js';
import { fleetResp } from '../src/resp/fleet-resp.js';
import type { RunningRole } from '../src/running-role.js';
import { machineSurroundings, type Surroundings } from '../src/surroundings.js';
import { nodeThreads } from '../src/text/node-text-thread.js';
import type { TextSource } from '../src/text/text-task.js';
import { TextThreads } from '../src/text/text-threads.js';
import type { TextWork } from '../src/text/text-work.js';
import { TlsWatch } from '../src/tls-watch.js';
import { openTracer } from '../src/trace/open-tracer.js';
import { refusedFile, requestsFile } from '../src/trail/entry.js';
import type { Access } from './access/access.js';
import { openAccess } from './access/open-access.js';
import type { AdapterCatalogue } from './adapters/adapter-catalogue.js';
import { openAdapters } from './adapters/open-adapters.js';
import { coordinatorBuckets } from './buckets.js';
import { openChaos } from './chaos/open-chaos.js';
import { type CoordinatorParts, makeCoordinatorParts, startCoordinatorParts } from './compose.js';
import { computedKvDeps } from './computed/computed-kv-deps.js';
import { enterFleet } from './enter-fleet.js';
import { CertificateKeeper, readCertificates } from './http/certificates.js';
import { createHttpServer } from './http/create-http-server.js';
import type { TlsContext } from './http/listener.js';
import type { HttpServer } from './http/server.js';
import { watchNamesakes } from './namesake.js';
import { accessBehavior, KeyAccess } from './objects/key-access.js';
import { objectUses } from './objects/object-uses.js';
import { openModel, withOffered } from './open-model.js';
import type { ServedModel } from './openai/served-model.js';
import { answersBehavior } from './purge/retry-answers.js';
import { DividedTrail } from './trail/divided-trail.js';
import { FileTrail, NO_TRAIL, type Trail } from './trail/trail.js';
import { TrailFile } from './trail/trail-file.js';

/**
 * Runs one coordinator in this process. Resolves once it listens, with or without workers. If it rejects, it has released everything.
 * @throws Refused if the model cannot be served or does not fit the fleet, or another coordinator has its name, Unavailable if it cannot listen, Cancelled if `leaving` aborts
 * while it waits for NATS
 */
export function runCoordinator(config: CoordinatorConfig, leaving: AbortSignal): Promise<RunningCoordinator> {
  const log = AdjustableLog.create({
    gathered: true,
    level: config.logLevel,
    fields: { role: 'coordinator', coordinator: config.id },
  });
  const clock = new SystemClock();
  const paced = new PacedLog(log, clock);
  const onLost = droppedLog(log, clock);
  const connect = (onRefused: (why: Error) => void) =>
    natsTransport({
      ...config.nats,
      name: `shoal coordinator ${config.id}`,
      inbox: natsInbox(config.namespace, 'coordinator'),
      onRefused,
      signal: leaving,
      onWaiting: ({ message }) => paced.warn({}, `trying again: ${message}`),
      onLost: (subject) => onLost('crowded', subject),
    });
  const openText = async (life: Lifecycle, source: TextSource) => {
    return life.use(await TextThreads.start({ clock, log, start: nodeThreads(source) }), (text) => text.close());
  };
  const reloads = new Reloads();
  reloads.on(({ logLevel }) => {
    log.level = logLevel;
  });
  return startCoordinator(config, { clock, log, connect, openText, reloads });
}

interface RunningCoordinator extends RunningRole {
  /** For a supervisor that knows that a worker's process was killed deliberately, so that its death is not attributed to a prompt. */
  workerKilled(worker: string, incarnation: string): void;
}

/** The environment of a coordinator. @internal exported for tests. */
export interface CoordinatorWorld {
  readonly clock: Clock;
  readonly log: Log;
  /** The parts that take options again add themselves. */
  readonly reloads: Reloads;
  /** Called once, when the model is known. The coordinator closes the transport's bus. `onRefused`: the bus denies a right that it needs. */
  readonly connect: (onRefused: (why: Error) => void) => Promise<Transport>;
  /** Called once, with the model. Parts that must be ended are handed to `life`. */
  readonly openText: (life: Lifecycle, source: TextSource) => Promise<TextWork>;
}

/** `runCoordinator` over any transport. @internal exported for tests. */
export function startCoordinator(config: CoordinatorConfig, world: CoordinatorWorld): Promise<RunningCoordinator> {
  const { clock, log, connect, openText, reloads } = world;
  return Lifecycle.build(async (life) => {
    const opened = await openModel(config, (source) => openText(life, source));
    const { served, fingerprint, layout, dependence, name, loraInputs } = opened;
    const incarnation = newIncarnation();
    const surroundings = machineSurroundings();
    let listening = false;
    let endedBecause: string | null = null;
    const end = (why: string) => {
      if (endedBecause !== null) return;
      endedBecause = why;
      log.error({}, `this coordinator exits: ${why}`);
      process.kill(process.pid, 'SIGTERM');
    };
    const paced = new PacedLog(log, clock);
    const onRefused = ({ message }: Error) => (listening ? log.error({}, message) : end(message));
    const transport = sealTransport(await connect(onRefused), sealing(config, incarnation, world, surroundings));
    await watchPeerTls(life, config, world, surroundings.wallMs);
    const bus = life.use(transport.bus, (open) => open.close());
    logBusStatus(bus, paced);
    const joining = { transport, clock, log, config, fingerprint, model: name, onOutlawed: end };
    const fleetChecks = await enterFleet(joining, paced);
    const metrics = new CoordinatorMetrics(new MetricsRegistry());
    metrics.registry.watchProcess();
    const trail = await openTrail(life, config, world, { metrics, wallMs: surroundings.wallMs });
    const buckets = coordinatorBuckets(transport, config.namespace);
    const parts = makeCoordinatorParts({
      config,
      trail,
      incarnation,
      fingerprint,
      dependence,
      layout,
      ...{ bus, clock, surroundings, log },
      ...countedIn(metrics),
      storeFault: () => transport.storeFault?.()?.why ?? null,
      openBucket: buckets.fleet,
      openRetentions: buckets.retentions,
    });
    watchNamesakes(parts.siblings, { clock, log: paced, end });
    await startCoordinatorParts(life, parts, { clock, log });
    const checks = [...fleetChecks, () => parts.poison.keep(), storeCheck(transport, buckets.of, paced)];
    await life.start(new BucketKeeper({ bus, clock, subjects: fleetSubjects(config.namespace), checks }));
    const looking = { clock, wallMs: surroundings.wallMs, trail, log };
    const adapters = await life.start(openAdapters(config, loraInputs, buckets.fleet, looking));
    const access = await startAccess(life, config, world, surroundings);
    const http = await serveHttp(life, config, world, parts, {
      ...{ fingerprint, incarnation, served, adapters, metrics },
      trail,
      access,
      surroundings,
    });
    const redis = await serveRedis(life, config, world, parts, { access, trail, surroundings, metrics });
    await settled(bus);
    listening = true;
    log.info({ url: http.url, model: config.servedModelName, fingerprint }, 'listening');
    return {
      ready: { id: config.id, url: http.url, redis },
      stopMs: PROCESS_STOP_MS + config.http.shutdownMs,
      reload: (options) => reloads.run(options),
      workerKilled: (worker, incarnation) => parts.poison.killed(worker, incarnation),
      stop: async () => {
        await life.stop();
        log.info({}, 'stopped');
        if (endedBecause !== null) throw new Refused(endedBecause);
      },
    };
  });
}

/** The way a coordinator seals its messages over NATS. */
function sealing(
  { id, secret, namespace }: CoordinatorConfig,
  incarnation: string,
  { clock, log }: CoordinatorWorld,
  { random }: Surroundings,
) {
  return { clock, random, secret, self: { id, incarnation }, namespace, onDropped: droppedLog(log, clock) };
}

async function watchPeerTls(
  life: Lifecycle,
  { peerTls }: CoordinatorConfig,
  { clock, log }: CoordinatorWorld,
  wallMs: () => number,
): Promise<void> {
  if (peerTls !== null) await life.start(new TlsWatch(() => peerTls.pems, clock, wallMs, log));
}

/** Counts the reports of the parts. */
function countedIn(metrics: CoordinatorMetrics) {
  return {
    onResumed: () => metrics.requests.resumed.add(1),
    onCall: (path: RouteKind) => metrics.calls.add(1, { path }),
    onQuarantined: () => metrics.promptsQuarantined.add(1),
    onPoisonRefused: () => metrics.poisonRefused.add(1),
  };
}

interface Serving {
  readonly fingerprint: string;
  readonly incarnation: string;
  readonly served: ServedModel;
  readonly adapters: AdapterCatalogue;
  readonly metrics: CoordinatorMetrics;
  readonly trail: Trail;
  readonly access: Access;
  readonly surroundings: Surroundings;
}

/** Opens the audit log, if the configuration names one. `life` ends it. @throws Unavailable if it cannot be opened */
async function openTrail(
  life: Lifecycle,
  { id, auditLog }: CoordinatorConfig,
  { clock, log }: CoordinatorWorld,
  { metrics, wallMs }: { readonly metrics: CoordinatorMetrics; readonly wallMs: () => number },
): Promise<Trail> {
  if (auditLog === null) return NO_TRAIL;
  const onEntries = (result: 'written' | 'lost', count: number) => metrics.auditLogEntries.add(count, { result });
  const trailOf = async (path: string) => {
    const file = new TrailFile({ ...auditLog, path });
    await file.open().catch((cause: Error) => {
      throw new Unavailable(`--audit-log: cannot open ${path}: ${cause.message}; choose another file`, { cause });
    });
    return life.use(new FileTrail({ file, coordinator: id, clock, wallMs, log, onEntries }), (trail) => trail.stop());
  };
  const { path } = auditLog;
  const [rest, use, refused] = [
    await trailOf(path),
    await trailOf(requestsFile(path)),
    await trailOf(refusedFile(path)),
  ];
  return new DividedTrail({ rest, use, refused });
}

/** Starts the HTTP API, with its keys and certificates. `life` stops them. */
async function serveHttp(
  life: Lifecycle,
  config: CoordinatorConfig,
  { clock, log, reloads }: CoordinatorWorld,
  parts: CoordinatorParts,
  { served, adapters, metrics, trail, access, fingerprint, incarnation, surroundings: { wallMs } }: Serving,
): Promise<HttpServer> {
  const { fleet, retentions, layers, purges, router, quotas, objects, computed, console, runtime } = parts;
  const { host, port, allowRouting } = config;
  const chaos = openChaos(config, parts);
  const { allowedHosts, allowedOrigins, bodyBudgetBytes, socketPath, shutdownMs: closeGraceMs } = config.http;
  const tls = config.http.tls && (await readCertificates(config.http.tls));
  const own = { host, port, version: packageVersion(), allowRouting, chaos };
  const options = { ...own, allowedHosts, allowedOrigins, bodyBudgetBytes, tls, socketPath, closeGraceMs };
  // Of the model itself, then of each adapter: dropping a prompt drops all of them.
  const keysOf = (tokens: Uint32Array, salt: Salt | null) =>
    [null, ...adapters.list().map(({ ref }) => ref)].flatMap((adapter) =>
      router.blocksOf(tokens, salt, adapter).map(({ key }) => key),
    );
  const deps = {
    fleet,
    retentions,
    layers,
    purges,
    keysOf,
    model: withOffered(served, router, adapters),
    adapters,
    options,
    access,
    quotas,
    log,
    trail,
    metrics,
    clock,
    tracer: await openTracer(life, config.trace, {
      role: 'coordinator',
      id: config.id,
      version: own.version,
      log,
      reloads,
    }),
    console,
    ...objectUses(config, objects.objects, { clock, wallMs, log }),
    computed: computedKvDeps(config, { computed, router }, { fingerprint, incarnation }),
    runtime,
  };
  const sender = { role: 'coordinator', id: config.id, version: own.version, clock, wallMs, log } as const;
  await sendMetrics(life, config.trace, { ...sender, registry: metrics.registry });
  const http = life.use(await createHttpServer(deps), (server) => server.close());
  await parts.actors.spawn(AnswersProtocol, ANSWERS_ACTOR, () => answersBehavior((group) => http.forgetAnswers(group)));
  await parts.actors.spawn(DisturbancesProtocol, DISTURBANCES_ACTOR, () => console.disturbances.behavior());
  await life.start(new OpenFilesWatch(clock, log));
  if (config.http.tls !== null && tls !== null) {
    const renew = (renewed: TlsContext) => http.renewTls(renewed);
    const keeper = await life.start(new CertificateKeeper(config.http.tls, tls, renew, clock, log));
    reloads.onFiles(() => keeper.look());
    await life.start(new TlsWatch(() => keeper.pems, clock, wallMs, log));
  }
  return http;
}

/** Serves clients of the Redis protocol, and answers workers about theirs. Returns the address; null if it is not served. `life` stops it. */
async function serveRedis(
  life: Lifecycle,
  { id, objectBytes, redis }: CoordinatorConfig,
  { clock, log }: CoordinatorWorld,
  { actors, objects, quotas }: CoordinatorParts,
  { access, trail, surroundings, metrics }: Pick<Serving, 'access' | 'trail' | 'surroundings' | 'metrics'>,
): Promise<string | null> {
  const keys = new KeyAccess({ access, quotas, trail });
  await actors.spawn(AccessProtocol, ACCESS_ACTOR, () => accessBehavior(keys));
  if (redis === null) return null;
  const server = fleetResp({
    ...{ redis, id, clock, surroundings, log, access: keys },
    ...{ role: 'coordinator', memory: () => null, registry: metrics.registry },
    objects: objects.objects,
    objectBytes: largestObject(objectBytes),
  });
  await life.start(server);
  return redis.port === null ? redis.socketPath : `${redis.host}:${server.port}`;
}

/** Opens the keys and tokens of clients. `life` stops what watches them. */
async function startAccess(
  life: Lifecycle,
  config: CoordinatorConfig,
  { clock, log, reloads }: CoordinatorWorld,
  { wallMs }: Surroundings,
): Promise<Access> {
  const { access, parts, reload } = openAccess(config, { clock, log, wallMs });
  reloads.onFiles(reload);
  for (const part of parts) await life.start(part);
  return access;
}
