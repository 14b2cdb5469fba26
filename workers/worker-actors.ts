import type { Behavior } from '../src/actors/protocol.js';
import type { ActorSystem } from '../src/actors/system.js';
import { unpackKeys } from '../src/core/key.js';
import type { Engine } from '../src/engine/engine.js';
import { Unavailable } from '../src/errors.js';
import { ENGINE_FAILURES } from '../src/limits.js';
import type { Log } from '../src/log.js';
import { EngineProtocol, ShardProtocol, WorkerProtocol } from '../src/protocol/worker.js';
import type { BlockStore } from './cache/block-store.js';
import { FailedRuns } from './failed-runs.js';
import type { HoldingsLog } from './holdings-log.js';
import type { Replicator } from './replication/replicator.js';

/** Engine, shard and worker as actors that others reach. */

/** The parts of a worker that its actors speak for. */
export interface SpokenFor {
  readonly engine: Engine;
  readonly store: BlockStore;
  readonly holdings: HoldingsLog;
  readonly replicator: Replicator;
  readonly log: Log;
  readonly draining: () => boolean;
  readonly drain: () => void;
  /** The worker is of no use any more, for the reason given. */
  readonly end: (why: string) => void;
}

/** Lets others reach the engine, the shard and the worker itself. */
export async function spawnWorkerActors(actors: ActorSystem, parts: SpokenFor): Promise<void> {
  const { engine, store, holdings, replicator, log, draining, drain, end } = parts;
  const supervision = { onGiveUp: () => end('a part of it crashed too often: the log says why') };
  const runs = new FailedRuns({
    failed: (err) => log.error({ err }, 'a request failed'),
    beyond: ({ message }) => end(`${ENGINE_FAILURES} requests in a row failed, the last with: ${message}`),
  });
  const engineBehavior: Behavior<typeof EngineProtocol> = {
    generate: (request, call) => {
      // Who sent it had not heard yet. Elsewhere it costs nobody anything.
      if (draining()) throw new Unavailable('this worker is about to go and takes nothing new');
      return runs.watch(engine.generate(request, call.signal));
    },
  };
  const shardBehavior: Behavior<typeof ShardProtocol> = {
    holdings: async function* () {
      yield* holdings.pages();
    },
    tiers: ({ keys }) => ({ tiers: unpackKeys(keys).map((key) => store.tierOf(key)) }),
    reset: async () => {
      replicator.forget();
      const dropped = store.reset();
      await store.idle();
      return { dropped };
    },
  };
  const workerBehavior: Behavior<typeof WorkerProtocol> = {
    drain: () => {
      drain();
      return {};
    },
  };
  await actors.spawn(EngineProtocol, 'engine', () => engineBehavior, { supervision });
  await actors.spawn(ShardProtocol, 'shard', () => shardBehavior, { supervision });
  await actors.spawn(WorkerProtocol, 'worker', () => workerBehavior, { supervision });
}
