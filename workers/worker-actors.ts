import type { Behavior } from '../src/actors/protocol.js';
import type { ActorSystem } from '../src/actors/system.js';
import type { BlockKey, BlockMeta } from '../src/core/block.js';
import { packKeys, unpackKeys } from '../src/core/key.js';
import type { Engine } from '../src/engine/engine.js';
import { Unavailable } from '../src/errors.js';
import { ENGINE_FAILURES } from '../src/limits.js';
import type { Log } from '../src/log.js';
import type { WorkerActivity } from '../src/protocol/activity.js';
import { HOLDINGS_KEYS_PER_MESSAGE } from '../src/protocol/holdings.js';
import { EngineProtocol, ShardProtocol, type WorkerFault, WorkerProtocol } from '../src/protocol/worker.js';
import { NO_SPAN, type Tracer } from '../src/trace/span.js';
import type { Auditor } from './audit/auditor.js';
import type { BlockStore } from './cache/block-store.js';
import { FailedRuns } from './failed-runs.js';
import type { HoldingsLog } from './holdings-log.js';
import type { ServedObjects } from './objects/served-objects.js';
import { purge } from './purge.js';
import type { Replicator } from './replication/replicator.js';
import { WorkerRetention } from './retention.js';
import type { SuspicionRelay } from './suspicion-relay.js';

/** The actors of a worker: engine, shard, and the worker itself. */

/** The parts of a worker that its actors expose. */
export interface WorkerActorParts {
  readonly engine: Engine;
  readonly store: BlockStore;
  readonly holdings: HoldingsLog;
  readonly replicator: Replicator;
  readonly auditor: Auditor;
  readonly suspicions: SuspicionRelay;
  /** Null: this worker has no objects. */
  readonly objects: Pick<ServedObjects, 'purge'> | null;
  readonly activity: (since: number) => WorkerActivity;
  /** Whether another worker is the first home of a block. */
  readonly isReplica: (block: BlockMeta) => boolean;
  readonly log: Log;
  readonly tracer: Tracer;
  readonly draining: () => boolean;
  readonly drain: () => void;
  /** Serves again. Throws `Refused` if that is too late. */
  readonly undrain: () => void;
  /** Begins a fault by a coordinator's order. Throws `Refused` if it may not. */
  readonly disturb: (fault: WorkerFault, seconds: number, by: string) => void;
  /** Tells a coordinator everything directly for a while, and, unless `epoch` is null, of the workers that it lacks. */
  readonly follow: (coordinator: string, forMs: number, epoch: string | null) => void;
  /** Ends the worker because it has become unusable. */
  readonly end: (why: string) => void;
}

/** Spawns the actors through which other processes call the worker. */
export async function spawnWorkerActors(actors: ActorSystem, parts: WorkerActorParts): Promise<void> {
  const { log, end } = parts;
  const supervision = { onGiveUp: () => end('one of its actors crashed too often; see the log for the cause') };
  const runs = new FailedRuns({
    failed: (err, requestId) => log.error({ requestId, err }, 'a request failed'),
    beyond: ({ message }) => end(`${ENGINE_FAILURES} prompts in a row failed, the last one with: ${message}`),
  });
  const [engine, shard, worker] = [engineBehavior(parts, runs), shardBehavior(parts), workerBehavior(parts)];
  await actors.spawn(EngineProtocol, 'engine', () => engine, { supervision });
  await actors.spawn(ShardProtocol, 'shard', () => shard, { supervision });
  await actors.spawn(WorkerProtocol, 'worker', () => worker, { supervision });
}

function engineBehavior(
  { engine, auditor, draining, tracer }: WorkerActorParts,
  runs: FailedRuns,
): Behavior<typeof EngineProtocol> {
  return {
    generate: (request, call) => {
      // The coordinator does not know yet that this worker drains. It retries on another worker.
      if (draining())
        throw new Unavailable('cannot accept the request: this worker is draining; retry on another worker');
      const { requestId, tokens } = request;
      // A trace begins at a coordinator.
      const attributes = { 'shoal.request_id': requestId };
      const span = call.trace === null ? NO_SPAN : tracer.start('shoal.generate', call.trace, attributes, 'server');
      return runs.watch(tokens, auditor.watch(request, engine.generate(request, call.signal, span)), requestId);
    },
  };
}

function shardBehavior({
  store,
  holdings,
  replicator,
  objects,
  isReplica,
}: WorkerActorParts): Behavior<typeof ShardProtocol> {
  const retention = new WorkerRetention(store);
  return {
    holdings: async function* () {
      yield* holdings.pages();
    },
    tiers: ({ keys }) => ({ tiers: unpackKeys(keys).map((key) => store.tierOf(key)) }),
    chain: ({ key }) => {
      const chain = chainTo(unpackKeys(key)[0] ?? null, store);
      return { keys: packKeys(chain.keys), parent: packKeys(chain.parent === null ? [] : [chain.parent]) };
    },
    retain: ({ fence, keys }) => {
      const answer = retention.obey(fence, unpackKeys(keys));
      return answer.type === 'retained' ? { ...answer, missing: packKeys(answer.missing) } : answer;
    },
    purge: async ({ labels, keys, objects: chosen }) => {
      const [answer, dropped] = await Promise.all([
        purge({ labels, keys: new Set(unpackKeys(keys)) }, { store, isReplica }),
        chosen === undefined ? null : objects?.purge(chosen),
      ]);
      const complete = answer.complete && (dropped?.complete ?? true);
      return { ...answer, ...(dropped ?? NO_OBJECTS), complete, beyond: packKeys(answer.beyond) };
    },
    reset: async () => {
      replicator.forget();
      const dropped = store.reset();
      await store.idle();
      return { dropped };
    },
  };
}

function workerBehavior({
  suspicions,
  activity,
  drain,
  undrain,
  disturb,
  follow,
}: WorkerActorParts): Behavior<typeof WorkerProtocol> {
  return {
    drain: () => {
      drain();
      return {};
    },
    undrain: () => {
      undrain();
      return {};
    },
    disturb: ({ fault, seconds }, { from }) => {
      disturb(fault, seconds, from);
      return {};
    },
    follow: ({ forMs, epoch }, { from }) => follow(from, forMs, epoch),
    suspicion: (message, { from }) => suspicions.hear(message, from),
    activity: ({ since }) => activity(since),
    suspicions: () => ({ messages: suspicions.list() }),
  };
}

const NO_OBJECTS = { values: 0, responses: 0, before: 0 };

/** A block and those before it, the latest first, as far as they are here. */
function chainTo(
  last: BlockKey | null,
  store: BlockStore,
): { readonly keys: BlockKey[]; readonly parent: BlockKey | null } {
  const keys: BlockKey[] = [];
  let next = last;
  while (next !== null && keys.length < HOLDINGS_KEYS_PER_MESSAGE) {
    const block = store.sealed(next);
    if (block === null) break;
    keys.push(next);
    next = block.parent;
  }
  return { keys, parent: next };
}
