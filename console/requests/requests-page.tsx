import { useState } from 'preact/hooks';
import type { Happening, PlacedStep } from '../../src/console/feed-messages.js';
import type { SlowAnswer } from '../../src/console/table-answers.js';
import type { FeedConnection } from '../feed/connection.js';
import type { FleetModel } from '../feed/fleet-model.js';
import {
  firstTokenMs,
  promptAttempt,
  type RequestTrace,
  resumedOf,
  withStep,
  workerOf,
} from '../feed/request-trace.js';
import { useStore } from '../feed/use-store.js';
import { movesOf } from '../parts/moves.js';
import { PolledState } from '../parts/polled-state.js';
import { SourceBar, SourceLegend } from '../parts/source-bar.js';
import { usePolled } from '../parts/use-polled.js';
import {
  agoText,
  clockText,
  counted,
  missText,
  requestName,
  sourceSentence,
  stageOf,
  timeText,
} from '../parts/words.js';
import type { Api } from '../session/api.js';
import { durationMs, PHASE_NAMES, phasesOf, type RequestOrder, shownRequests } from './waterfall.js';

/** The latest requests, each with its phases on a common scale, and why it ran where it ran. */

const ROWS = 60;
const REFRESH_MS = 400;
const SLOW_REFRESH_MS = 3_000;
const PHASE_TITLES = [
  ['waited', 'placed'],
  ['fetched', 'queued, fetched'],
  ['streamed', 'streamed'],
] as const;
const ORDERS: Readonly<Record<RequestOrder, string>> = {
  newest: 'newest first',
  slowest: 'slowest first',
  'first-token': 'slowest first token',
};

const SCOPES = { live: 'since the page opened', hour: 'the slowest of the last hour' } as const;
type Scope = keyof typeof SCOPES;

export interface RequestsPageProps {
  readonly api: Api;
  readonly feed: FeedConnection;
  /** The worker whose requests are shown at first; null for all. */
  readonly worker: string | null;
}

export function RequestsPage({ api, feed, worker: named }: RequestsPageProps) {
  const live = useStore(feed.model, REFRESH_MS);
  const [scope, setScope] = useState<Scope>('live');
  const polled = usePolled<SlowAnswer>(api, scope === 'hour' ? '/v1/fleet/slow' : null, SLOW_REFRESH_MS);
  const [frozen, setFrozen] = useState<{ readonly model: FleetModel; readonly now: number } | null>(null);
  const [order, setOrder] = useState<RequestOrder>('newest');
  const [chosen, setChosen] = useState<string | null>(null);
  const [opened, setOpened] = useState<number | null>(null);
  const worker = chosen ?? named;
  const model = frozen?.model ?? live;
  const now = frozen?.now ?? feed.now();
  const traces = scope === 'live' ? model.traces.values() : slowTraces(polled.answer);
  const by = scope === 'live' ? order : 'first-token';
  const rows = shownRequests(traces, { order: by, worker: worker === '' ? null : worker, limit: ROWS, now });
  const scaleMs = Math.max(0, ...rows.map((trace) => durationMs(trace, now) ?? 0));
  return (
    <section class="card requests" aria-labelledby="requests-title">
      <div class="tools">
        <h1 id="requests-title">Requests</h1>
        <Choice label="Show" value={scope} choices={SCOPES} onChoose={(name) => setScope(name as Scope)} />
        {scope === 'live' && (
          <Choice label="Order" value={order} choices={ORDERS} onChoose={(name) => setOrder(name as RequestOrder)} />
        )}
        <Choice
          label="Worker"
          value={worker ?? ''}
          choices={{ '': 'all', ...Object.fromEntries([...model.workers.keys()].map((id) => [id, id])) }}
          onChoose={setChosen}
        />
        {scope === 'live' && (
          <button
            type="button"
            class="small"
            aria-pressed={frozen !== null}
            onClick={() => setFrozen(frozen === null ? { model: live, now: feed.now() } : null)}
          >
            Pause
          </button>
        )}
        <SourceLegend />
        <PhaseLegend />
        {rows.some(({ attempts }) => attempts.length > 1) && (
          <p class="hint">Moved: another worker took the request over. Its row says who, and when.</p>
        )}
      </div>
      {scope === 'hour' && <PolledState polled={polled} />}
      {rows.length > 0 && <Head scaleMs={scaleMs} scope={scope} />}
      {rows.length === 0 && <NoRequests ofTenant={model.hello?.role === 'user'} scope={scope} />}
      <ol class="waterfall" aria-label={scaleMs === 0 ? 'Requests' : `Requests, on a scale of ${timeText(scaleMs)}`}>
        {rows.map((trace) => (
          <Row
            key={trace.id}
            {...{ trace, now, scaleMs, scope, happened: model.happened }}
            open={opened === trace.id}
            onToggle={() => setOpened(opened === trace.id ? null : trace.id)}
          />
        ))}
      </ol>
    </section>
  );
}

/** The requests that the coordinator kept, as the page would have seen them. */
function slowTraces(answer: SlowAnswer | null): RequestTrace[] {
  return (answer?.requests ?? []).flatMap((steps) => {
    const trace = steps.reduce<RequestTrace | undefined>((known, step) => withStep(known, step), undefined);
    return trace === undefined ? [] : [trace];
  });
}

/** The meaning of the phases' colours. The prompt's computation has the colour of computed tokens. */
function PhaseLegend() {
  return (
    <ul class="legend" aria-label="Phases of a request">
      {PHASE_TITLES.map(([kind, title]) => (
        <li key={kind} title={PHASE_NAMES[kind]}>
          <span class={`swatch ${kind}`} aria-hidden="true" />
          {title}
        </li>
      ))}
    </ul>
  );
}

/** The headings of the columns; each cell repeats its heading for screen readers. */
function Head({ scaleMs, scope }: Pick<RowProps, 'scaleMs' | 'scope'>) {
  return (
    <div class={`row ${scope}`} aria-hidden="true">
      {scope === 'hour' && <span class="number">Arrived</span>}
      <span class="number">Number</span>
      <span>Worker</span>
      <span class="number tokens">Prompt tokens</span>
      <span>Prompt from</span>
      <span>{scaleMs === 0 ? 'Phases' : `Phases, on a scale of ${timeText(scaleMs)}`}</span>
      <span class="number">First token</span>
      <span class="number">Whole</span>
      <span class="stage">State</span>
    </div>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  /** Titles by value. */
  readonly choices: Readonly<Record<string, string>>;
  readonly onChoose: (value: string) => void;
}

function Choice({ label, value, choices, onChoose }: ChoiceProps) {
  return (
    <label>
      {label}{' '}
      <select value={value} onChange={(event) => onChoose(event.currentTarget.value)}>
        {Object.entries(choices).map(([name, title]) => (
          <option key={name} value={name}>
            {title}
          </option>
        ))}
      </select>
    </label>
  );
}

function NoRequests({ ofTenant, scope }: { readonly ofTenant: boolean; readonly scope: Scope }) {
  return (
    <p class="hint">
      {scope === 'live' ? 'No requests since you opened the console.' : 'No requests in the last hour.'} Send one from{' '}
      <a href="#ring">Ring</a> or <a href="#chat">Chat</a>, or with curl.{' '}
      {ofTenant ? 'You see those of your tenant.' : 'You see those of all clients.'}
    </p>
  );
}

interface RowProps {
  readonly trace: RequestTrace;
  readonly now: number;
  readonly scaleMs: number;
  readonly scope: Scope;
  readonly happened: readonly Happening[];
  readonly open: boolean;
  readonly onToggle: () => void;
}

function Row({ trace, now, scaleMs, scope, happened, open, onToggle }: RowProps) {
  const firstMs = firstTokenMs(trace);
  const totalMs = durationMs(trace, now);
  const stage = stageOf(trace);
  const moves = movesOf(trace, happened);
  // That of the client's prompt alone: a worker that continues an answer counts the answer so far with it.
  const cached = promptAttempt(trace)?.started?.cached;
  const unseen = trace.arrivedAt === null ? 'This page opened after the request arrived' : undefined;
  return (
    <li class={stage}>
      <button type="button" class={`row ${scope}`} aria-expanded={open} onClick={onToggle}>
        {scope === 'hour' && (
          <time class="number" title="Arrived">
            {trace.arrivedAt === null ? '–' : clockText(trace.arrivedAt)}
          </time>
        )}
        <span class="number id">{requestName(trace.id)}</span>
        <span class="where">{workerOf(trace) ?? '–'}</span>
        <span class="number tokens" title={unseen ?? 'Tokens of the prompt'}>
          {trace.promptTokens ?? '–'}
        </span>
        {cached === undefined ? <span class="source-bar small" title={unseen} /> : <SourceBar cached={cached} small />}
        <Phases trace={trace} now={now} scaleMs={scaleMs} />
        <span class="number" title={unseen ?? 'Time to the first token'}>
          {firstMs === null ? '–' : timeText(firstMs)}
        </span>
        <span class="number" title={unseen ?? 'Time to the end'}>
          {totalMs === null ? '–' : timeText(totalMs)}
        </span>
        <span class="stage" title={moves.join('\n')}>
          {moves.length > 0 ? `${stage}, moved` : stage}
        </span>
      </button>
      {open && <Details {...{ trace, now, moves, happened }} />}
    </li>
  );
}

function Phases({
  trace,
  now,
  scaleMs,
}: {
  readonly trace: RequestTrace;
  readonly now: number;
  readonly scaleMs: number;
}) {
  return (
    <span class="phases" aria-hidden="true">
      {phasesOf(trace, now).map(({ kind, from, to }, index) => (
        <span
          key={`${kind} ${index}`}
          class={`phase ${kind}`}
          title={`${PHASE_NAMES[kind]}: ${timeText(to - from)}`}
          style={{ left: `${(100 * from) / scaleMs}%`, width: `${(100 * (to - from)) / scaleMs}%` }}
        />
      ))}
    </span>
  );
}

interface DetailsProps {
  readonly trace: RequestTrace;
  readonly now: number;
  /** Who was lost, and who continued. */
  readonly moves: readonly string[];
  /** Newest first. */
  readonly happened: readonly Happening[];
}

function Details({ trace, now, moves, happened }: DetailsProps) {
  const { arrivedAt, attempts, ended } = trace;
  return (
    <div class="details">
      {arrivedAt !== null && <p class="hint">Arrived {agoText(now - arrivedAt)}.</p>}
      <dl>
        {phasesOf(trace, now).map(({ kind, worker, from, to }, index) => (
          <div key={`${kind} ${index}`}>
            <dt>
              <span class={`swatch ${kind}`} aria-hidden="true" />
              {PHASE_NAMES[kind]}
              {attempts.length > 1 && worker !== null && ` (${worker})`}
            </dt>
            <dd class="number">{timeText(to - from)}</dd>
          </div>
        ))}
      </dl>
      {attempts.map((attempt, index) => (
        <div key={`attempt ${index}`}>
          {attempt.started !== null && (
            <p>
              {sourceSentence(attempt.started.worker, attempt.started.cached, attempt)} {missText(attempt, happened)}
              {resumedOf(attempt) > 0 &&
                ` Among these tokens are ${counted(resumedOf(attempt), 'token')} of the answer so far.`}
            </p>
          )}
          {moves[index] !== undefined && <p>{moves[index]}.</p>}
        </div>
      ))}
      {ended !== null && <p>The answer has {counted(ended.tokens, 'token')}.</p>}
      {attempts.map(({ placed }) => placed !== null && <Placement key={placed.at} placed={placed} />)}
    </div>
  );
}

/** Why the request went there: the costs of the workers that could take it. */
function Placement({ placed }: { readonly placed: PlacedStep }) {
  const { worker, resumed, candidates } = placed;
  const what =
    resumed > 0 ? `Moved to ${worker} after ${counted(resumed, 'token')} of the answer` : `Placed on ${worker}`;
  return (
    <table>
      <caption>{what}. The workers that could take it, by estimated cost:</caption>
      <thead>
        <tr>
          <th scope="col">Worker</th>
          {['Estimated cost', 'Blocks it has', 'Blocks to fetch', 'Tokens to compute'].map((title) => (
            <th key={title} scope="col" class="number">
              {title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {candidates.map((candidate) => (
          <tr key={candidate.worker} class={candidate.worker === worker ? 'selected' : ''}>
            <th scope="row">{candidate.worker}</th>
            <td class="number">{timeText(candidate.cost_ms)}</td>
            <td class="number">{candidate.local}</td>
            <td class="number">{candidate.remote}</td>
            <td class="number">{candidate.compute}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
