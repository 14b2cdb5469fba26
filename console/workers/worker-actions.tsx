import type { FeedWorker } from '../../src/console/feed-messages.js';
import type { Deed } from '../parts/deed.js';
import type { Api } from '../session/api.js';

/** The operator's actions on a worker. */

export type WorkerAction = 'drain' | 'undrain' | 'kill';

interface ActionSpec {
  readonly label: string;
  /** The question to the operator. */
  readonly question: (id: string) => string;
}

/** The question to an operator before a worker is killed. */
export function killQuestion(id: string): string {
  return `Kill ${id} (SIGKILL)? Its requests continue on other workers, and its blocks are copied again.`;
}

const ACTIONS: Readonly<Record<WorkerAction, ActionSpec>> = {
  drain: {
    label: 'Drain',
    question: (id) => `Drain ${id}? It finishes its requests, takes no new ones and hands over its blocks.`,
  },
  undrain: { label: 'Undrain', question: (id) => `Let ${id} serve again?` },
  kill: {
    label: 'Kill',
    question: killQuestion,
  },
};

export interface WorkerActionsProps {
  readonly worker: FeedWorker;
  /** Whether workers may be killed. */
  readonly chaos: boolean;
  readonly api: Api;
  /** Asks the reader to confirm. */
  readonly onAsk: (deed: Deed) => void;
}

/** A button for each action that makes sense now. */
export function WorkerActions({ worker, chaos, api, onAsk }: WorkerActionsProps) {
  const { id } = worker;
  return (
    <>
      {actionsFor(worker, chaos).map((action) => {
        const { label, question } = ACTIONS[action];
        const act = async () => void (await api.post(`/v1/fleet/workers/${encodeURIComponent(id)}/${action}`, {}));
        return (
          <button
            // A worker that is drained gets another action in the same place: the keyboard stays there.
            key={action === 'undrain' ? 'drain' : action}
            type="button"
            class="small"
            aria-label={`${label} ${id}`}
            onClick={() => onAsk({ label: `${label} ${id}`, question: question(id), act })}
          >
            {label}
          </button>
        );
      })}
    </>
  );
}

function actionsFor({ state }: FeedWorker, chaos: boolean): WorkerAction[] {
  if (state === 'dead') return [];
  const drains: WorkerAction = state === 'draining' ? 'undrain' : 'drain';
  return chaos ? [drains, 'kill'] : [drains];
}
