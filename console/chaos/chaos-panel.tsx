import { useState } from 'preact/hooks';
import type { FeedWorker } from '../../src/console/feed-messages.js';
import { Confirmation } from '../parts/confirmation.js';
import type { Deed } from '../parts/deed.js';
import { counted } from '../parts/words.js';
import type { Api } from '../session/api.js';
import { killQuestion } from '../workers/worker-actions.js';
import { type SteadyAsking, useSteadyAsking } from './use-steady-asking.js';

/** Disturbs the fleet while it is asked, and counts what that costs its clients. */

const SECONDS = [2, 5, 20] as const;

interface WorkerFault {
  readonly path: 'kill' | 'pause' | 'slow' | 'cut-off' | 'corrupt';
  readonly label: string;
  /** Between the label and the worker. */
  readonly of?: string;
  readonly question: (id: string, seconds: number) => string;
}

const WORKER_FAULTS: readonly WorkerFault[] = [
  {
    path: 'kill',
    label: 'Kill',
    question: killQuestion,
  },
  {
    path: 'pause',
    label: 'Pause',
    question: (id, seconds) =>
      `Stop ${id} for ${seconds} s (SIGSTOP)? After two seconds the others take it for dead; it comes back with its blocks.`,
  },
  {
    path: 'slow',
    label: 'Slow down',
    question: (id, seconds) =>
      `Let ${id} run for a fifth of the time only, for ${seconds} s? Others take its requests.`,
  },
  {
    path: 'cut-off',
    label: 'Cut off',
    question: (id, seconds) =>
      `Cut ${id} off from NATS and from all other processes for ${seconds} s? Others take its requests; it comes back with its blocks.`,
  },
  {
    path: 'corrupt',
    label: 'Corrupt blocks',
    of: ' of',
    question: (id, seconds) =>
      `Let ${id} send blocks with a wrong byte for ${seconds} s? The others notice by the digest, and compute the blocks instead.`,
  },
];

const NATS_QUESTION = (seconds: number) =>
  `Stop the nats-server for ${seconds} s? Workers and coordinators continue over their direct links.`;

interface ChaosPanelProps {
  readonly workers: readonly FeedWorker[];
  readonly api: Api;
}

export function ChaosPanel({ workers, api }: ChaosPanelProps) {
  const asking = useSteadyAsking(api);
  const [seconds, setSeconds] = useState<number>(5);
  const [deed, setDeed] = useState<Deed | null>(null);
  const ask = (label: string, question: string, path: string) =>
    setDeed({ label, question, act: async () => void (await api.post(path, { seconds })) });
  return (
    <section class="card" aria-labelledby="chaos-title">
      <h2 id="chaos-title">Break it</h2>
      <p class="hint">
        Keep the fleet busy with questions whose answers are known, do something to a worker, and see what its clients
        notice.
      </p>
      <Asking asking={asking} />
      <p class="buttons">
        <WorkerFaults workers={workers} seconds={seconds} onAsk={ask} />
        <button type="button" onClick={() => ask('Stop NATS', NATS_QUESTION(seconds), '/v1/fleet/nats/stop')}>
          Stop NATS
        </button>
        <label>
          for{' '}
          <select value={seconds} onChange={(event) => setSeconds(Number(event.currentTarget.value))}>
            {SECONDS.map((each) => (
              <option key={each} value={each}>
                {each} s
              </option>
            ))}
          </select>
        </label>
      </p>
      <Confirmation deed={deed} onClose={() => setDeed(null)} />
    </section>
  );
}

interface WorkerFaultsProps extends Pick<ChaosPanelProps, 'workers'> {
  readonly seconds: number;
  readonly onAsk: (label: string, question: string, path: string) => void;
}

/** A worker to choose, and a button for each fault. */
function WorkerFaults({ workers, seconds, onAsk }: WorkerFaultsProps) {
  const [chosen, setChosen] = useState<string | null>(null);
  const living = workers.filter(({ state }) => state !== 'dead');
  const worker = (living.find(({ id }) => id === chosen) ?? living[0])?.id;
  if (worker === undefined) return <span class="hint">No worker lives.</span>;
  return (
    <>
      <select aria-label="Worker to disturb" value={worker} onChange={(event) => setChosen(event.currentTarget.value)}>
        {living.map(({ id }) => (
          <option key={id}>{id}</option>
        ))}
      </select>
      {WORKER_FAULTS.map(({ path, label, of = '', question }) => {
        const route = `/v1/fleet/workers/${encodeURIComponent(worker)}/${path}`;
        return (
          <button
            key={path}
            type="button"
            aria-label={`${label}${of} the chosen worker`}
            onClick={() => onAsk(`${label}${of} ${worker}`, question(worker, seconds), route)}
          >
            {label}
          </button>
        );
      })}
    </>
  );
}

function Asking({ asking: { running, counts, problem, start, stop } }: { readonly asking: SteadyAsking }) {
  return (
    <>
      <p class="buttons">
        <button type="button" class="primary" onClick={running ? stop : start}>
          {running ? 'Stop asking' : 'Keep asking'}
        </button>
      </p>
      {counts.asked > 0 && (
        <p class="sentence" role="status">
          {counted(counts.same, 'answer')} as in calm,{' '}
          <strong class={counts.wrong > 0 ? 'error' : ''}>{counts.wrong} wrong</strong>,{' '}
          <strong class={counts.failed > 0 ? 'error' : ''}>{counts.failed} failed</strong>
        </p>
      )}
      {problem !== null && <p class="hint">The last failure: {problem}</p>}
    </>
  );
}
