import { useState } from 'preact/hooks';
import type { FeedWorker, Happening } from '../../src/console/feed-messages.js';
import { useStore } from '../feed/use-store.js';
import { Confirmation } from '../parts/confirmation.js';
import type { Deed } from '../parts/deed.js';
import { counted } from '../parts/words.js';
import type { Api } from '../session/api.js';
import { killQuestion } from '../workers/worker-actions.js';
import type { AnswerCounts } from './answer-check.js';
import { chosenWorker, corruptionOutcome, lasting } from './disturbances.js';
import type { SteadyAsking } from './steady-asking.js';

/** Disturbs the fleet while it is asked, and counts what that costs its clients. */

const SECONDS = [2, 5, 20] as const;
/** How often the counts of answers are shown again. */
const COUNTS_MS = 200;

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
  readonly asking: SteadyAsking;
  /** Recent events, and the coordinator's clock now. */
  readonly happened: readonly Happening[];
  readonly now: number;
}

export function ChaosPanel({ workers, api, asking, happened, now }: ChaosPanelProps) {
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
      <WorkerFaults workers={workers} seconds={seconds} onSeconds={setSeconds} onAsk={ask} />
      {lasting(happened, now).map(({ text, left }) => (
        <p key={text} class="lasting" role="status">
          Now: {text}; {counted(left, 'second')} left.
        </p>
      ))}
      <CorruptionOutcome happened={happened} now={now} />
      <Confirmation deed={deed} onClose={() => setDeed(null)} />
    </section>
  );
}

interface WorkerFaultsProps extends Pick<ChaosPanelProps, 'workers'> {
  readonly seconds: number;
  readonly onSeconds: (seconds: number) => void;
  readonly onAsk: (label: string, question: string, path: string) => void;
}

/** A worker to choose, and a button for each fault: the kill, which is for good, apart from those that pass. */
function WorkerFaults({ workers, seconds, onSeconds, onAsk }: WorkerFaultsProps) {
  const [chosen, setChosen] = useState<string | null>(null);
  const living = workers.filter(({ state }) => state !== 'dead').map(({ id }) => id);
  const worker = chosenWorker(chosen, living);
  if (worker === null) return <p class="hint">No worker lives.</p>;
  const dead = !living.includes(worker);
  const faultButton = ({ path, label, of = '', question }: WorkerFault) => (
    <button
      key={path}
      type="button"
      aria-label={`${label}${of} the chosen worker`}
      disabled={dead}
      onClick={() => {
        setChosen(worker);
        const route = `/v1/fleet/workers/${encodeURIComponent(worker)}/${path}`;
        onAsk(`${label}${of} ${worker}`, question(worker, seconds), route);
      }}
    >
      {label}
    </button>
  );
  return (
    <>
      <p class="buttons">
        <select
          aria-label="Worker to disturb"
          value={worker}
          onChange={(event) => setChosen(event.currentTarget.value)}
        >
          {dead && <option value={worker}>{worker} (dead)</option>}
          {living.map((id) => (
            <option key={id}>{id}</option>
          ))}
        </select>
        {WORKER_FAULTS.filter(({ path }) => path === 'kill').map(faultButton)}
        {dead && <span class="hint">{worker} is dead: choose another worker.</span>}
      </p>
      <p class="buttons">
        <SecondsChoice seconds={seconds} onChoose={onSeconds} />
        {WORKER_FAULTS.filter(({ path }) => path !== 'kill').map(faultButton)}
        <button type="button" onClick={() => onAsk('Stop NATS', NATS_QUESTION(seconds), '/v1/fleet/nats/stop')}>
          Stop NATS
        </button>
      </p>
    </>
  );
}

interface SecondsChoiceProps {
  readonly seconds: number;
  readonly onChoose: (seconds: number) => void;
}

function SecondsChoice({ seconds, onChoose }: SecondsChoiceProps) {
  return (
    <label>
      For{' '}
      <select value={seconds} onChange={(event) => onChoose(Number(event.currentTarget.value))}>
        {SECONDS.map((each) => (
          <option key={each} value={each}>
            {each} s
          </option>
        ))}
      </select>
    </label>
  );
}

function CorruptionOutcome({ happened, now }: Pick<ChaosPanelProps, 'happened' | 'now'>) {
  const outcome = corruptionOutcome(happened, now);
  return outcome === null ? null : (
    <p class="sentence" role="status">
      {outcome}
    </p>
  );
}

function Asking({ asking }: { readonly asking: SteadyAsking }) {
  const { running, counts, problem } = useStore(asking.state, COUNTS_MS);
  return (
    <>
      <p class="buttons">
        <button type="button" class="primary" onClick={() => (running ? asking.stop() : asking.start())}>
          {running ? 'Stop asking' : 'Keep asking'}
        </button>
      </p>
      {counts.asked > 0 && <Counts counts={counts} />}
      {problem !== null && <p class="hint">The last failure: {problem}</p>}
    </>
  );
}

function Counts({ counts }: { readonly counts: AnswerCounts }) {
  const { right, wrong, failed, tokens, wrongTokens, noted } = counts;
  return (
    <>
      <p class="sentence" role="status">
        {counted(right, 'answer')} right, <strong class={wrong > 0 ? 'error' : ''}>{wrong} wrong</strong>,{' '}
        <strong class={failed > 0 ? 'error' : ''}>{failed} failed</strong>. Of {counted(tokens, 'token')},{' '}
        {wrongTokens.toLocaleString('en')} {wrongTokens === 1 ? 'was' : 'were'} wrong.
      </p>
      {!noted && right > 0 && (
        <p class="hint">
          Not all answers are among the notes that the questions are about. Where none is, the first answer to a
          question counts as right.
        </p>
      )}
    </>
  );
}
