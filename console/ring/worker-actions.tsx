import { useState } from 'preact/hooks';
import type { FeedWorker } from '../../src/console/feed-messages.js';
import { type Api, ApiFailure } from '../session/api.js';

/** What an operator may do to a worker, each confirmed before it is done. */

export type WorkerAction = 'drain' | 'undrain' | 'kill';

interface ActionSpec {
  readonly label: string;
  /** What the operator is asked. */
  readonly question: (id: string) => string;
}

const ACTIONS: Readonly<Record<WorkerAction, ActionSpec>> = {
  drain: {
    label: 'Drain',
    question: (id) => `Drain ${id}? It finishes its requests, takes no new ones and hands over its blocks.`,
  },
  undrain: { label: 'Undrain', question: (id) => `Let ${id} serve again?` },
  kill: {
    label: 'Kill',
    question: (id) => `Kill ${id} (SIGKILL)? Its requests continue on other workers, and its blocks are copied again.`,
  },
};

export interface AskedAction {
  readonly action: WorkerAction;
  readonly id: string;
}

/** @param chaos whether workers may be killed */
export function actionsFor({ state }: FeedWorker, chaos: boolean): WorkerAction[] {
  if (state === 'dead') return [];
  const drains: WorkerAction = state === 'draining' ? 'undrain' : 'drain';
  return chaos ? [drains, 'kill'] : [drains];
}

export function ActionButton({
  asked,
  onAsk,
}: {
  readonly asked: AskedAction;
  readonly onAsk: (asked: AskedAction) => void;
}) {
  const { label } = ACTIONS[asked.action];
  return (
    <button type="button" class="small" aria-label={`${label} ${asked.id}`} onClick={() => onAsk(asked)}>
      {label}
    </button>
  );
}

/** Asks whether to do it, does it, and shows the error if it fails. */
export function Confirmation({
  asked,
  api,
  onClose,
}: {
  readonly asked: AskedAction | null;
  readonly api: Api;
  readonly onClose: () => void;
}) {
  const [problem, setProblem] = useState<string | null>(null);
  const act = async ({ action, id }: AskedAction) => {
    onClose();
    setProblem(null);
    try {
      await api.post(`/v1/fleet/workers/${encodeURIComponent(id)}/${action}`, {});
    } catch (error) {
      setProblem(error instanceof ApiFailure ? `${ACTIONS[action].label} ${id}: ${error.message}` : String(error));
    }
  };
  return (
    <>
      {asked !== null && (
        <div
          class="confirm"
          role="alertdialog"
          aria-labelledby="confirm-text"
          onKeyDown={(event) => event.key === 'Escape' && onClose()}
        >
          <p id="confirm-text">{ACTIONS[asked.action].question(asked.id)}</p>
          <p class="buttons">
            <button type="button" class="primary" ref={(button) => button?.focus()} onClick={() => act(asked)}>
              {ACTIONS[asked.action].label} {asked.id}
            </button>
            <button type="button" onClick={onClose}>
              Cancel
            </button>
          </p>
        </div>
      )}
      {problem !== null && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
    </>
  );
}
