import type { ActorSystem } from '../../src/actors/system.js';
import { ShoalError } from '../../src/errors.js';
import type { SuspicionMessage } from '../../src/protocol/suspicion.js';
import { WorkerProtocol } from '../../src/protocol/worker.js';

/** Carries evidence against prompts over workers, which have direct connections to all coordinators and remember it. */

/** How long a worker may take to report its record. */
const LEARN_TIMEOUT_MS = 1_000;
/** Number of workers that forward short-lived messages. */
const MESSENGERS = 3;

export interface WorkerRelay {
  /** Tells the workers that are connected directly. Returns false if none is. */
  tell(message: SuspicionMessage): boolean;
  /** A worker's record; empty if it does not answer. */
  learn(worker: string, incarnation: string): Promise<readonly SuspicionMessage[]>;
}

export function workerRelay(actors: Pick<ActorSystem, 'linkedNodes' | 'ref'>): WorkerRelay {
  return {
    tell(message) {
      const linked = actors.linkedNodes();
      const isMomentary = message.type === 'claim' || message.type === 'here';
      for (const node of isMomentary ? linked.slice(0, MESSENGERS) : linked)
        actors.ref(WorkerProtocol, { ...node, actor: 'worker' }).tell('suspicion', message);
      return linked.length > 0;
    },
    async learn(node, incarnation) {
      const worker = actors.ref(WorkerProtocol, { node, incarnation, actor: 'worker' });
      try {
        return (await worker.ask('suspicions', {}, { timeoutMs: LEARN_TIMEOUT_MS })).messages;
      } catch (error) {
        if (!(error instanceof ShoalError)) throw error;
        return [];
      }
    },
  };
}
