import type { ActorSystem } from '../../src/actors/system.js';
import { localNatsPid } from '../../src/bus/local-nats.js';
import type { CoordinatorConfig } from '../../src/config/coordinator-config.js';
import { CONTROL_TIMEOUT_MS } from '../../src/limits.js';
import { WorkerProtocol } from '../../src/protocol/worker.js';
import type { PoisonGuard } from '../poison/poison-guard.js';
import { Chaos, type OrderFault } from './chaos.js';

interface ChaosParts {
  readonly poison: Pick<PoisonGuard, 'killed'>;
  readonly actors: Pick<ActorSystem, 'ref'>;
}

/** The faults that operators may ask for; null if the configuration allows none. */
export function openChaos({ allowChaos, nats }: CoordinatorConfig, { poison, actors }: ChaosParts): Chaos | null {
  if (!allowChaos) return null;
  return Chaos.bySignals({ poison, natsPid: () => localNatsPid(nats.url), order: ordersOver(actors) });
}

/** Orders faults of workers through their actors. */
function ordersOver(actors: ChaosParts['actors']): OrderFault {
  return async ({ id, incarnation }, fault, seconds) => {
    const worker = actors.ref(WorkerProtocol, { node: id, incarnation, actor: 'worker' });
    await worker.ask('disturb', { fault, seconds }, { timeoutMs: CONTROL_TIMEOUT_MS });
  };
}
