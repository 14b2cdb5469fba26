import { hostname } from 'node:os';
import { logged } from '../src/actors/logged.js';
import { ActorSystem } from '../src/actors/system.js';
import { connectNats } from '../src/bus/nats-bus.js';
import { SystemClock } from '../src/clock.js';
import type { CoordinatorConfig } from '../src/config/coordinator-config.js';
import { packageVersion } from '../src/config/package-root.js';
import { Holdings } from '../src/core/holdings.js';
import { blockBytes } from '../src/core/kv-layout.js';
import type { MembershipEffect } from '../src/core/membership-events.js';
import { hostId, newIncarnation } from '../src/fleet/identity.js';
import { joinFleet } from '../src/fleet/joining.js';
import { Roster } from '../src/fleet/roster.js';
import { fleetSubjects } from '../src/fleet/subjects.js';
import { BLOCK_TOKENS, PROBE_TIMEOUT_MS } from '../src/limits.js';
import { createLog } from '../src/log.js';
import { CoordinatorMetrics } from '../src/metrics/coordinator-metrics.js';
import { MetricsRegistry } from '../src/metrics/registry.js';
import { ChatTemplate } from '../src/model/chat-template.js';
import { modelFingerprint } from '../src/model/fingerprint.js';
import { openModelFolder } from '../src/model/folder.js';
import { graphSignature } from '../src/model/graph-signature.js';
import { Tokenizer } from '../src/model/tokenizer.js';
import { PeerClient } from '../src/peer/client/peer-client.js';
import { SystemRandom } from '../src/random.js';
import type { RunningRole } from '../src/running-role.js';
import { BlockTiers } from './block-tiers.js';
import { createHttpServer } from './http/create-http-server.js';
import { IndexKeeper } from './index-keeper.js';
import { LiveFleet } from './live-fleet.js';
import { Router } from './router.js';
import { Siblings } from './siblings.js';

/**
 * Runs one coordinator in this process. Resolves once it listens, with or without workers.
 * @throws Refused if the model cannot be served or does not fit the fleet, Unavailable if it cannot listen, Cancelled if `leaving` aborts
 * while it waits for NATS
 */
export async function runCoordinator(config: CoordinatorConfig, leaving: AbortSignal): Promise<RunningRole> {
  const incarnation = newIncarnation();
  const log = createLog({ level: config.logLevel, fields: { role: 'coordinator', coordinator: config.id } });
  const folder = await openModelFolder(config.modelDir);
  const tokenizer = await Tokenizer.load(folder);
  const { layout } = graphSignature(folder.graph, folder.config, BLOCK_TOKENS);
  const fingerprint = await modelFingerprint(folder, layout);
  const bus = await connectNats({
    url: config.nats.url,
    ...(config.nats.user === null ? {} : { user: config.nats.user }),
    ...(config.nats.password === null ? {} : { password: config.nats.password }),
    name: `shoal coordinator ${config.id}`,
    waitForServer: true,
    signal: leaving,
    onWaiting: ({ message }) => log.warn({}, `trying again: ${message}`),
  });
  const clock = new SystemClock();
  await joinFleet({ bus, clock, log, config, fingerprint, model: folder.name });
  const subjects = fleetSubjects(config.namespace);
  const metrics = new CoordinatorMetrics(new MetricsRegistry());
  metrics.registry.watchProcess();
  const node = { id: config.id, incarnation };
  const observe = logged(log);
  const actors = new ActorSystem({
    bus,
    clock,
    random: new SystemRandom(),
    node,
    namespace: config.namespace,
    observe,
  });
  const peers = new PeerClient({
    identity: { ...node, fingerprint },
    hostId: hostId(),
    secret: config.secret,
    blockBytes: blockBytes(layout),
    tls: config.peerTls ?? undefined,
    clock,
  });
  const probe = async (target: Parameters<PeerClient['ping']>[0]) => void (await peers.ping(target, PROBE_TIMEOUT_MS));
  const roster = new Roster({ bus, clock, subjects, fingerprint, self: null, probe });
  const holdings = new Holdings();
  const keeper = new IndexKeeper(holdings, roster, actors, bus, clock, subjects, log);
  const siblings = new Siblings(bus, clock, subjects, { id: config.id, pid: process.pid, host: hostname() });
  const router = new Router({
    bus,
    actors,
    roster,
    holdings,
    clock,
    fingerprint,
    replicas: config.replicas,
    onResumed: () => metrics.requests.resumed.add(1),
  });
  keeper.listen((worker) => router.told(worker));
  const fleet = new LiveFleet({
    bus,
    clock,
    actors,
    roster,
    holdings,
    router,
    siblings,
    tiers: new BlockTiers(roster, actors, log),
    replicas: config.replicas,
  });

  const follow = (effect: MembershipEffect) => {
    if (effect.type === 'refused' && effect.first) log.warn({ reason: effect.reason }, effect.message);
    if (effect.type === 'joined') {
      log.info({ worker: effect.id, incarnation: effect.incarnation }, 'a worker joined');
      // The ping opens a link that stays open, so that its closing reveals the end of the worker's process at once.
      const member = roster.alive(effect.id);
      if (member)
        peers
          .ping(member, PROBE_TIMEOUT_MS)
          .catch((err) => log.warn({ worker: effect.id, err }, 'cannot open a link to a worker'));
    }
    if (effect.type === 'dead' || effect.type === 'left') {
      log.warn(
        { worker: effect.id, incarnation: effect.incarnation },
        `a worker ${effect.type === 'left' ? 'left' : 'is dead'}`,
      );
      actors.nodeGone(effect.id, effect.incarnation);
    }
  };
  roster.listen(follow);
  peers.onLinkClosed((id, of) => roster.linkClosed(id, of));
  keeper.start();
  roster.start();
  siblings.start();

  const http = await createHttpServer({
    fleet,
    model: {
      name: config.servedModelName,
      aliases: [],
      tokenizer,
      template: ChatTemplate.from(folder),
      contextTokens: Math.min(config.contextTokens, folder.config.contextTokens),
      defaults: folder.defaults,
      createdAt: Math.floor(Date.now() / 1000),
    },
    options: {
      host: config.host,
      port: config.port,
      version: packageVersion(),
      allowRouting: config.allowRouting,
      apiKeys: config.apiKeys,
    },
    log,
    metrics,
    clock,
  });
  log.info({ url: http.url, model: config.servedModelName, fingerprint }, 'listening');
  return {
    ready: { id: config.id, url: http.url },
    stop: async () => {
      await http.close();
      siblings.stop();
      keeper.stop();
      roster.stop();
      await actors.stop();
      peers.close();
      await bus.close();
      log.info({}, 'stopped');
    },
  };
}
