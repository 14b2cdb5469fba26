import { useRef, useState } from 'preact/hooks';
import { type AnswerCost, streamAnswer } from '../chat/stream-answer.js';
import type { FleetModel } from '../feed/fleet-model.js';
import { SourceBar } from '../parts/source-bar.js';
import { sourceSentence, timeText } from '../parts/words.js';
import type { Api } from '../session/api.js';
import { lessonOf } from './lesson.js';
import { SAMPLE_PROMPT, SAMPLE_QUESTION } from './sample-prompt.js';

/** Demonstrates the fleet in three clicks: compute a prompt, find it again, and fetch it from another worker. */

interface Try {
  readonly kind: TryKind;
  readonly text: string;
  readonly cost: AnswerCost | null;
  readonly error: string | null;
  readonly running: boolean;
}

type TryKind = 'new' | 'again' | 'elsewhere';

const LABELS: Readonly<Record<TryKind, string>> = {
  new: 'Asked for the first time',
  again: 'Asked again',
  elsewhere: 'Asked on another worker',
};
/** Answers that stay on the page. */
const TRIES = 6;

export function SampleStrip({ api, model }: { readonly api: Api; readonly model: () => FleetModel }) {
  const { tries, ask, elsewhere } = useTries(api, model);
  const running = tries[0]?.running === true;
  const routing = model().hello?.routing === true;
  const asked = tries.some(({ cost }) => cost !== null);
  return (
    <section class="card" aria-labelledby="try-title">
      <h2 id="try-title">Try it</h2>
      <p class="hint">
        A model computes K/V for each token of a prompt before it answers. shoal keeps them, so that no worker has to
        compute them twice. Ask “{SAMPLE_QUESTION}” about 64 notes, ask again, then ask another worker.
      </p>
      <dl class="lessons">
        <div>
          <dt>
            <span class="swatch computed" aria-hidden="true" />
            computed
          </dt>
          <dd>no worker had it: the worker computes it, which takes longest</dd>
        </div>
        <div>
          <dt>
            <span class="swatch local" aria-hidden="true" />
            local hit
          </dt>
          <dd>the worker finds it in its own memory</dd>
        </div>
        <div>
          <dt>
            <span class="swatch remote" aria-hidden="true" />
            remote hit
          </dt>
          <dd>the worker fetches it from the memory of another worker, if that is faster than to compute it</dd>
        </div>
      </dl>
      <p class="buttons">
        <button type="button" class="primary" disabled={running} onClick={() => ask('new')}>
          Ask
        </button>
        <button type="button" disabled={running || !asked} onClick={() => ask('again')}>
          Ask again
        </button>
        <button
          type="button"
          disabled={running || !asked || !routing || elsewhere() === null}
          onClick={() => ask('elsewhere')}
        >
          Ask another worker
        </button>
      </p>
      {model().hello !== null && !routing && (
        <p class="hint">
          A request may not name its worker here: start the coordinator with --allow-routing to ask another one.
        </p>
      )}
      <ol class="tries" aria-live="polite">
        {tries.map((each, index) => (
          <TryRow key={tries.length - index} result={each} earlier={tries.slice(index + 1)} />
        ))}
      </ol>
    </section>
  );
}

/** The answers, newest first, and ways to get another. */
function useTries(api: Api, model: () => FleetModel) {
  const [tries, setTries] = useState<readonly Try[]>([]);
  const salt = useRef('');
  const known = tries.flatMap(({ cost }) => (cost === null ? [] : [cost.worker]));
  /** A worker that has not answered, best one that has no copy either: the one with the fewest blocks. */
  const elsewhere = () =>
    [...model().workers.values()]
      .filter(({ id, state }) => state === 'serving' && !known.includes(id))
      .toSorted((a, b) => a.blocks - b.blocks)[0]?.id ?? null;
  const workerFor = (kind: TryKind) => {
    if (kind === 'elsewhere') return elsewhere();
    return kind === 'again' && model().hello?.routing === true ? (known[0] ?? null) : null;
  };
  const ask = async (kind: TryKind) => {
    // A fresh salt, so that the first answer is computed even if the fleet has seen the prompt.
    if (kind === 'new') salt.current = `console-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`;
    const before = kind === 'new' ? [] : tries;
    let current: Try = { kind, text: '', cost: null, error: null, running: true };
    const show = (change: Partial<Try>) => {
      current = { ...current, ...change };
      setTries([current, ...before].slice(0, TRIES));
    };
    show({});
    const body = { prompt: SAMPLE_PROMPT, max_tokens: 16, temperature: 0, stop: ['\n'], cache_salt: salt.current };
    try {
      const question = { path: '/v1/completions' as const, body, worker: workerFor(kind) };
      const onText = (piece: string) => show({ text: current.text + piece });
      show({ cost: await streamAnswer(api, question, new AbortController().signal, onText), running: false });
    } catch (error) {
      show({ error: (error as Error).message, running: false });
    }
  };
  return { tries, ask, elsewhere };
}

function TryRow({ result, earlier }: { readonly result: Try; readonly earlier: readonly Try[] }) {
  const { kind, text, cost, error, running } = result;
  const costs = earlier.flatMap((each) => (each.cost === null ? [] : [each.cost])).toReversed();
  const source = costs.findLast(({ worker }) => worker !== cost?.worker)?.worker ?? null;
  return (
    <li>
      <div class="try-head">
        <strong>{LABELS[kind]}</strong>
        {cost !== null && <span class="number">first token after {timeText(cost.ttft_ms)}</span>}
        {running && <span class="hint">running…</span>}
      </div>
      {cost !== null && <SourceBar cached={cost.cached} />}
      {cost !== null && <p class="sentence">{sourceSentence(cost.worker, cost.cached, source)}</p>}
      {cost !== null && <p class="lesson">{lessonOf(cost, costs)}</p>}
      {text !== '' && <p class="hint">Answer: {text.trim()}</p>}
      {error !== null && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
    </li>
  );
}
