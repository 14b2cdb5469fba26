import type { ActorSystem } from '../src/actors/system.js';
import type { Bus } from '../src/bus/bus.js';
import type { Clock } from '../src/clock.js';
import type { BlockKey, TierName } from '../src/core/block.js';
import type { Recommendation } from '../src/core/capacity/recommendation.js';
import type { Holdings } from '../src/core/holdings.js';
import type { Member } from '../src/core/member.js';
import type { Salt } from '../src/core/salt.js';
import { InvalidRequest, Unavailable } from '../src/errors.js';
import type { Roster } from '../src/fleet/roster.js';
import { CONTROL_TIMEOUT_MS } from '../src/limits.js';
import type { AdapterRef } from '../src/protocol/adapter.js';
import { ShardProtocol, WorkerProtocol } from '../src/protocol/worker.js';
import { type Departure, departureOf } from './advice/departure.js';
import type { LoadWatch } from './advice/load-watch.js';
import type { BlockTiers } from './block-tiers.js';
import type { Explanation, Fleet, FleetEvent, FleetRequest, FleetView, HealthCheck } from './fleet.js';
import type { QuarantinedWorkers } from './quarantined-workers.js';
import type { Router } from './router.js';
import type { Siblings } from './siblings.js';

/** The fleet behind the HTTP layer: implements the `Fleet` port with router, roster and index. */

/** NATS counts as unreachable if it has not answered by then. */
const HEALTH_TIMEOUT_MS = 1_000;

type Explained = Explanation['blocks'][number];

export interface LiveFleetOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly actors: ActorSystem;
  readonly roster: Roster;
  readonly holdings: Holdings;
  readonly router: Router;
  readonly siblings: Siblings;
  readonly tiers: BlockTiers;
  readonly replicas: number;
  readonly quarantined: QuarantinedWorkers;
  readonly load: LoadWatch;
  /** Why the store of the fleet's buckets does not work; null if it does. */
  readonly storeFault: () => string | null;
}

export class LiveFleet implements Fleet {
  constructor(private readonly options: LiveFleetOptions) {}

  generate(request: FleetRequest, signal: AbortSignal): AsyncIterable<FleetEvent> {
    return this.options.router.generate(request, signal);
  }

  view(): FleetView {
    const { roster, replicas, siblings, bus } = this.options;
    return {
      epoch: roster.epoch,
      get ring() {
        return roster.ring.members;
      },
      replicas,
      coordinators: siblings.list(),
      workers: roster.members(),
      natsConnected: bus.connected,
      storeFault: this.options.storeFault(),
      quarantined: this.options.quarantined.accused,
    };
  }

  async explain(tokens: Uint32Array, salt: Salt | null, adapter: AdapterRef | null = null): Promise<Explanation> {
    const { router, roster, holdings, replicas } = this.options;
    const named = router.blocksOf(tokens, salt, adapter);
    let gap = false;
    const blocks = named.map(({ key, index, segment }) => {
      const holders = [...holdings.holders(key)];
      const missing = holders.length === 0;
      const reason = gap
        ? 'an earlier block is missing, so this block would be computed even if a worker held it'
        : missing
          ? 'no worker holds it: it was never computed, or it has been evicted'
          : null;
      gap ||= missing;
      const state = gap ? ('miss' as const) : ('hit' as const);
      return { index, key, homes: roster.ring.homes(segment, replicas), holders, state, reason };
    });
    return {
      blocks: await this.withTiers(blocks),
      wouldRunOn:
        router.rank({ tokens, blocks: named, contextTokens: tokens.length, adapter }, new Set())[0]?.worker ?? null,
    };
  }

  async drain(worker: string): Promise<void> {
    await this.control(worker).ask('drain', {}, { timeoutMs: CONTROL_TIMEOUT_MS });
  }

  async undrain(worker: string): Promise<void> {
    await this.control(worker).ask('undrain', {}, { timeoutMs: CONTROL_TIMEOUT_MS });
  }

  async departure(worker: string): Promise<Departure | null> {
    const { roster, holdings } = this.options;
    const member = roster.members().find(({ id }) => id === worker);
    return member === undefined ? null : departureOf(member, () => roster.members(), holdings);
  }

  recommendation(): Recommendation {
    return this.options.load.recommendation();
  }

  pardon(worker: string): boolean {
    return this.options.quarantined.pardon(worker);
  }

  async resetCache(): Promise<void> {
    // Reset twice: during the first round, a worker that has not been reset yet can still push blocks to one that has.
    await this.resetAll();
    await this.resetAll();
  }

  async health(): Promise<HealthCheck[]> {
    const { actors, bus, clock, roster } = this.options;
    const startedMs = clock.now();
    const answers = await this.reachesNats();
    const latencyMs = clock.now() - startedMs;
    const serving = roster.members().filter(({ state }) => state === 'serving');
    const linked = serving.filter(
      ({ id, incarnation }) => actors.routeTo({ node: id, incarnation }).kind === 'direct',
    ).length;
    // A server that is slow, and not lost yet, still carries calls.
    const reachable = bus.connected ? serving.length : linked;
    const { shortcoming } = bus;
    return [
      {
        name: 'nats',
        ok: answers && shortcoming === null,
        required: !bus.connected && linked === 0,
        latencyMs,
        detail: natsDetail({ connected: bus.connected, answers, shortcoming, linked }),
      },
      ...storeChecks(this.options.storeFault()),
      { name: 'workers', ok: reachable > 0, required: true, latencyMs: 0, detail: `${reachable} serving` },
      ...diskChecks(serving),
    ];
  }

  private control(worker: string) {
    const member = this.members().find(({ id }) => id === worker);
    if (!member)
      throw new InvalidRequest(`id: no worker '${worker}' in the fleet; GET /v1/fleet lists the workers`, 'id');
    const node = { node: member.id, incarnation: member.incarnation, actor: 'worker' };
    return this.options.actors.ref(WorkerProtocol, node);
  }

  private reachesNats(): Promise<boolean> {
    const { bus, clock } = this.options;
    return new Promise((resolve) => {
      // The bus notices a hung server only after longer than a health check may take.
      const timer = clock.after(HEALTH_TIMEOUT_MS, () => resolve(false));
      bus
        .flush()
        .then(
          () => resolve(true),
          () => resolve(false),
        )
        .finally(() => timer.cancel());
    });
  }

  private async withTiers(blocks: readonly Omit<Explained, 'tiers'>[]): Promise<Explained[]> {
    const held = new Map<string, BlockKey[]>();
    for (const { key, holders } of blocks) {
      for (const id of holders) {
        const keys = held.get(id) ?? [];
        held.set(id, keys);
        keys.push(key);
      }
    }
    const found = await this.options.tiers.find(held);
    return blocks.map((block) => {
      const tiers: Record<string, TierName> = {};
      for (const id of block.holders) {
        const tier = found.get(id)?.get(block.key);
        if (tier !== undefined) tiers[id] = tier;
      }
      return { ...block, tiers };
    });
  }

  private async resetAll(): Promise<void> {
    const asked = this.members().map(({ id, incarnation }) =>
      this.options.actors
        .ref(ShardProtocol, { node: id, incarnation, actor: 'shard' })
        .ask('reset', {}, { timeoutMs: CONTROL_TIMEOUT_MS }),
    );
    const failed = (await Promise.allSettled(asked)).filter(({ status }) => status === 'rejected').length;
    if (failed === 0) return;
    throw new Unavailable(`cannot reset the cache: ${failed} of ${asked.length} workers did not confirm; retry`);
  }

  private members(): Member[] {
    return this.options.roster.members().filter(({ state }) => state !== 'dead');
  }
}

/** Without the store, requests are answered, and pins and purges are not. Nothing, if it works or nothing is known of it. */
function storeChecks(fault: string | null): HealthCheck[] {
  if (fault === null) return [];
  const detail = `not all of the charter, pins, purges and actors can be changed: ${fault}`;
  return [{ name: 'store', ok: false, required: false, latencyMs: 0, detail }];
}

/** Whether the disks of the workers' disk caches answer. Nothing, if no worker has one. */
function diskChecks(serving: readonly Member[]): HealthCheck[] {
  if (serving.every(({ disk }) => disk === 'none')) return [];
  const away = serving.filter(({ disk }) => disk === 'away').map(({ id }) => id);
  const detail =
    away.length === 0 ? 'all answer' : `no answer from the disk of ${away.join(', ')}; blocks there are computed again`;
  return [{ name: 'disks', ok: away.length === 0, required: false, latencyMs: 0, detail }];
}

interface NatsState {
  readonly connected: boolean;
  readonly answers: boolean;
  readonly shortcoming: string | null;
  /** Workers with an open direct connection. */
  readonly linked: number;
}

/** The state of the connection to NATS, in words. */
function natsDetail({ connected, answers, shortcoming, linked }: NatsState): string {
  if (!connected)
    return `not connected; ${linked > 0 ? 'requests go to workers over direct connections' : 'new requests wait'}`;
  if (!answers) return `connected, but the server has not answered within ${HEALTH_TIMEOUT_MS} ms`;
  return shortcoming === null ? 'connected' : `connected, but some messages fail over it: ${shortcoming}`;
}
