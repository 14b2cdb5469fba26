import { useState } from 'preact/hooks';
import type { PlacedStep } from '../../src/console/feed-messages.js';
import type { SlowAnswer } from '../../src/console/table-answers.js';
import type { FeedConnection } from '../feed/connection.js';
import type { FleetModel } from '../feed/fleet-model.js';
import { firstTokenMs, type RequestTrace, withStep, workerOf } from '../feed/request-trace.js';
import { useStore } from '../feed/store.js';
import { PolledState } from '../parts/polled-state.js';
import { SourceBar, SourceLegend } from '../parts/source-bar.js';
import { usePolled } from '../parts/use-polled.js';
import { agoText, sourceOf, sourceSentence, stageOf, timeText } from '../parts/words.js';
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
  const scaleMs = Math.max(1, ...rows.map((trace) => durationMs(trace, now) ?? 0));
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
      </div>
      {scope === 'hour' && <PolledState polled={polled} />}
      {rows.length > 0 && <Head scaleMs={scaleMs} />}
      {rows.length === 0 && <NoRequests ofTenant={model.hello?.role === 'user'} scope={scope} />}
      <ol class="waterfall" aria-label={`Requests, on a scale of ${timeText(scaleMs)}`}>
        {rows.map((trace) => (
          <Row
            key={trace.id}
            {...{ trace, now, scaleMs }}
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
function Head({ scaleMs }: { readonly scaleMs: number }) {
  return (
    <div class="row" aria-hidden="true">
      <span class="number">Number</span>
      <span>Worker</span>
      <span class="number tokens">Tokens</span>
      <span>Prompt from</span>
      <span>Phases, on a scale of {timeText(scaleMs)}</span>
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
  readonly open: boolean;
  readonly onToggle: () => void;
}

function Row({ trace, now, scaleMs, open, onToggle }: RowProps) {
  const firstMs = firstTokenMs(trace);
  const totalMs = durationMs(trace, now);
  const stage = stageOf(trace);
  return (
    <li class={stage}>
      <button type="button" class="row" aria-expanded={open} onClick={onToggle}>
        <span class="number id">#{trace.id}</span>
        <span class="where">{workerOf(trace) ?? '–'}</span>
        <span class="number tokens" title="Tokens of the prompt">
          {trace.promptTokens ?? '–'}
        </span>
        {trace.started === null ? <span class="source-bar small" /> : <SourceBar cached={trace.started.cached} small />}
        <Phases trace={trace} now={now} scaleMs={scaleMs} />
        <span class="number" title="Time to the first token">
          {firstMs === null ? '–' : timeText(firstMs)}
        </span>
        <span class="number" title="Time to the end">
          {totalMs === null ? '–' : timeText(totalMs)}
        </span>
        <span class="stage">{trace.placements.length > 1 ? `${stage}, moved` : stage}</span>
      </button>
      {open && <Details trace={trace} now={now} />}
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
      {phasesOf(trace, now).map(({ kind, from, to }) => (
        <span
          key={kind}
          class={`phase ${kind}`}
          title={`${PHASE_NAMES[kind]}: ${timeText(to - from)}`}
          style={{ left: `${(100 * from) / scaleMs}%`, width: `${(100 * (to - from)) / scaleMs}%` }}
        />
      ))}
    </span>
  );
}

function Details({ trace, now }: { readonly trace: RequestTrace; readonly now: number }) {
  const { started, arrivedAt, placements, ended } = trace;
  return (
    <div class="details">
      {arrivedAt !== null && <p class="hint">Arrived {agoText(now - arrivedAt)}.</p>}
      <dl>
        {phasesOf(trace, now).map(({ kind, from, to }) => (
          <div key={kind}>
            <dt>
              <span class={`swatch ${kind}`} aria-hidden="true" />
              {PHASE_NAMES[kind]}
            </dt>
            <dd class="number">{timeText(to - from)}</dd>
          </div>
        ))}
      </dl>
      {started !== null && <p>{sourceSentence(started.worker, started.cached, sourceOf(trace))}</p>}
      {ended !== null && <p>The answer has {ended.tokens.toLocaleString('en')} tokens.</p>}
      {placements.map((placed) => (
        <Placement key={placed.at} placed={placed} />
      ))}
    </div>
  );
}

/** Why the request went there: the costs of the workers that could take it. */
function Placement({ placed }: { readonly placed: PlacedStep }) {
  const { worker, resumed, candidates } = placed;
  const what = resumed > 0 ? `Moved to ${worker} after ${resumed} tokens` : `Placed on ${worker}`;
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
