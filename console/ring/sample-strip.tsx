import { useRef, useState } from 'preact/hooks';
import type { CacheExplanation } from '../../src/console/cache-answers.js';
import type { FeedWorker, Happening } from '../../src/console/feed-messages.js';
import { type AnswerCost, newRequestId, streamAnswer } from '../chat/stream-answer.js';
import type { FeedConnection } from '../feed/connection.js';
import type { FleetModel } from '../feed/fleet-model.js';
import { promptAttempt, type RequestTrace, traceOf } from '../feed/request-trace.js';
import { useStore } from '../feed/use-store.js';
import { progressText } from '../parts/progress.js';
import { SourceBar } from '../parts/source-bar.js';
import { sourceSentence, timeText } from '../parts/words.js';
import type { Api } from '../session/api.js';
import { lessonOf } from './lesson.js';
import { otherWorkers, sampleQuestion, whyNoOther } from './other-worker.js';
import { SAMPLE_PROMPT, SAMPLE_QUESTION } from './sample-prompt.js';

/** Demonstrates the fleet in three clicks: compute a prompt, find it again, and fetch it from another worker. */

interface Try {
  readonly kind: TryKind;
  readonly text: string;
  readonly cost: AnswerCost | null;
  readonly error: string | null;
  readonly running: boolean;
  /** The coordinator's name for it. */
  readonly request: string;
}

type TryKind = 'new' | 'again' | 'elsewhere';

const LABELS: Readonly<Record<TryKind, string>> = {
  new: 'Asked for the first time',
  again: 'Asked again',
  elsewhere: 'Asked on another worker',
};
const REFRESH_MS = 300;
/** Answers that stay on the page. */
const TRIES = 6;

export interface SampleStripProps {
  readonly api: Api;
  readonly feed: FeedConnection;
  /** Gets the name of each request that is made here. */
  readonly onAsked: (request: string) => void;
}

export function SampleStrip({ api, feed, onAsked }: SampleStripProps) {
  const { traces, hello, workers, happened } = useStore(feed.model, REFRESH_MS);
  const model = () => feed.model.value;
  const { tries, ask, answered } = useTries(api, model, onAsked);
  const running = tries[0]?.running === true;
  const noOther = hello === null ? null : whyNoOther([...workers.values()], answered, hello.routing);
  const asked = tries.some(({ cost }) => cost !== null);
  return (
    <section class="card" aria-labelledby="try-title">
      <h2 id="try-title">Try it</h2>
      <p class="hint">
        Before a model answers, it computes keys and values (K/V) for each token of the prompt, and looks them up while
        it writes. shoal keeps them in the memory of the workers, so that none has to compute them twice. Ask “
        {SAMPLE_QUESTION}” about 64 notes, ask again, then ask another worker.
      </p>
      <Sources />
      <p class="buttons">
        <button type="button" class="primary" disabled={running} onClick={() => ask('new')}>
          Ask
        </button>
        <button type="button" disabled={running || !asked} onClick={() => ask('again')}>
          Ask again
        </button>
        <button
          type="button"
          disabled={running || !asked || noOther !== null}
          aria-describedby={noOther === null ? undefined : 'no-other'}
          onClick={() => ask('elsewhere')}
        >
          Ask another worker
        </button>
      </p>
      {noOther !== null && (
        <p class="hint" id="no-other">
          {noOther}
        </p>
      )}
      <ol class="tries" aria-live="polite">
        {tries.map((each, index) => (
          <TryRow
            key={tries.length - index}
            result={each}
            earlier={tries.slice(index + 1)}
            trace={traceOf(traces, each.request)}
            {...{ workers, happened }}
          />
        ))}
      </ol>
    </section>
  );
}

/** Where the K/V of a token may come from. */
function Sources() {
  return (
    <dl class="lessons">
      <div>
        <dt>
          <span class="swatch local" aria-hidden="true" />
          own memory
        </dt>
        <dd>the worker has it already</dd>
      </div>
      <div>
        <dt>
          <span class="swatch remote" aria-hidden="true" />
          another worker
        </dt>
        <dd>the worker gets it from the memory of another worker, if that is faster than to compute it</dd>
      </div>
      <div>
        <dt>
          <span class="swatch computed" aria-hidden="true" />
          computed
        </dt>
        <dd>no worker had it, or computing was faster</dd>
      </div>
    </dl>
  );
}

/** The answers, newest first, and ways to get another. */
function useTries(api: Api, model: () => FleetModel, onAsked: (request: string) => void) {
  const [tries, setTries] = useState<readonly Try[]>([]);
  const salt = useRef('');
  const answered = tries.flatMap(({ cost }) => (cost === null ? [] : [cost.worker]));
  /** A worker that has not answered, best one that gets no copy either. */
  const elsewhere = async () => {
    const question = sampleQuestion(salt.current);
    // It is as well to choose without the answer.
    const explained = await api.post<CacheExplanation>('/v1/cache/explain', question).catch(() => undefined);
    return otherWorkers([...model().workers.values()], answered, explained)[0] ?? null;
  };
  const workerFor = async (kind: TryKind) => {
    if (kind === 'elsewhere') return elsewhere();
    return kind === 'again' && model().hello?.routing === true ? (answered[0] ?? null) : null;
  };
  const ask = async (kind: TryKind) => {
    // A fresh salt, so that the first answer is computed even if the fleet has seen the prompt.
    if (kind === 'new') salt.current = `console-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`;
    const before = kind === 'new' ? [] : tries;
    const request = newRequestId();
    let current: Try = { kind, text: '', cost: null, error: null, running: true, request };
    const show = (change: Partial<Try>) => {
      current = { ...current, ...change };
      setTries([current, ...before].slice(0, TRIES));
    };
    show({});
    onAsked(request);
    const body = { prompt: SAMPLE_PROMPT, max_tokens: 16, temperature: 0, stop: ['\n'], cache_salt: salt.current };
    try {
      const question = { path: '/v1/completions' as const, body, worker: await workerFor(kind), request };
      const onText = (piece: string) => show({ text: current.text + piece });
      show({ cost: await streamAnswer(api, question, new AbortController().signal, onText), running: false });
    } catch (error) {
      show({ error: (error as Error).message, running: false });
    }
  };
  return { tries, ask, answered };
}

interface TryRowProps {
  readonly result: Try;
  readonly earlier: readonly Try[];
  /** The same request as the coordinator saw it; undefined if this page did not. */
  readonly trace: RequestTrace | undefined;
  readonly workers: ReadonlyMap<string, FeedWorker>;
  /** Newest first. */
  readonly happened: readonly Happening[];
}

function TryRow({ result, earlier, trace, workers, happened }: TryRowProps) {
  const { kind, text, cost, error, running } = result;
  const costs = earlier.flatMap((each) => (each.cost === null ? [] : [each.cost])).toReversed();
  const attempt = trace === undefined ? null : (promptAttempt(trace) ?? null);
  return (
    <li>
      <div class="try-head">
        <strong>{LABELS[kind]}</strong>
        {cost !== null && (
          <span class="number" title="From the arrival of the request to its first token, measured by the coordinator">
            first token after {timeText(cost.ttft_ms)}
          </span>
        )}
        {running && <span class="hint">{progressText(trace, workers)}</span>}
      </div>
      {cost !== null && <SourceBar cached={cost.cached} />}
      {cost !== null && <p class="sentence">{sourceSentence(cost.worker, cost.cached, attempt)}</p>}
      {cost !== null && <p class="lesson">{lessonOf(cost, costs, attempt, happened)}</p>}
      {text !== '' && <p class="hint">Answer: {text.trim()}</p>}
      {error !== null && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
    </li>
  );
}
