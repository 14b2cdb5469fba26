import { useState } from 'preact/hooks';
import type { FeedConnection } from '../feed/connection.js';
import { useStore } from '../feed/store.js';
import { SourceLegend } from '../parts/source-bar.js';
import { SAMPLE_NOTES, SAMPLE_QUESTION } from '../ring/sample-prompt.js';
import type { Api } from '../session/api.js';
import { AnswerCard } from './answer-card.js';
import type { AnswerCost } from './stream-answer.js';
import { type Answers, type ChatAnswer, type SaidMessage, useAnswers } from './use-answers.js';

/** The most tokens of an answer. */
const LENGTHS = [64, 256, 1_024] as const;

/** A chat with the model that shows what each answer cost, and where the K/V of its prompt came from. */

export function ChatPage({ api, feed }: { readonly api: Api; readonly feed: FeedConnection }) {
  const { hello, workers } = useStore(feed.model, 500);
  const chat = useAnswers(api, hello?.model ?? '');
  const serving = [...workers.values()].filter(({ state }) => state === 'serving').map(({ id }) => id);
  const nameable = hello?.routing === true ? serving : [];
  return (
    <div class="chat-page">
      <QuestionForm chat={chat} workers={nameable} routing={hello?.routing ?? null} />
      <section class="column" aria-label="Answers" aria-live="polite">
        <SourceLegend />
        {chat.answers.length === 0 && (
          <p class="card hint">
            Each answer comes with its cost: the time to its first token, and a bar that shows how much of the prompt
            was in the worker’s own memory, was fetched from another worker, or had to be computed.
          </p>
        )}
        {chat.answers
          .map((answered, index) => (
            <AnswerCard
              key={`answer ${index}`}
              answered={answered}
              earlier={costsBefore(chat.answers.slice(0, index), answered)}
              msPerToken={workers.get(answered.cost?.worker ?? '')?.compute_ms_per_token ?? null}
              others={nameable.filter((id) => id !== answered.cost?.worker)}
              busy={chat.busy}
              onAgain={(worker) =>
                void chat.ask(answered.messages, nameable.includes(worker) ? worker : null, answered.length)
              }
            />
          ))
          .toReversed()}
      </section>
    </div>
  );
}

/** The costs of those answers whose prompt was the same. */
function costsBefore(before: readonly ChatAnswer[], { messages }: ChatAnswer): AnswerCost[] {
  const prompt = JSON.stringify(messages);
  return before.flatMap((each) => (each.cost !== null && JSON.stringify(each.messages) === prompt ? [each.cost] : []));
}

interface QuestionFormProps {
  readonly chat: Answers;
  /** Those that a question may name. */
  readonly workers: readonly string[];
  /** Whether a question may name its worker at all; null until that is known. */
  readonly routing: boolean | null;
}

function QuestionForm({ chat, workers, routing }: QuestionFormProps) {
  const [system, setSystem] = useState(`Notes:\n${SAMPLE_NOTES.join('\n')}`);
  const [draft, setDraft] = useState(SAMPLE_QUESTION);
  const [remember, setRemember] = useState(false);
  const [worker, setWorker] = useState('');
  const [tokens, setTokens] = useState<number>(LENGTHS[0]);
  const [whole, setWhole] = useState(false);
  const { busy, answers } = chat;
  const send = () => {
    const said = remember
      ? answers.flatMap(({ messages, text }): SaidMessage[] => [messages.at(-1)!, { role: 'assistant', content: text }])
      : [];
    const own: SaidMessage[] = system.trim() === '' ? [] : [{ role: 'system', content: system }];
    void chat.ask([...own, ...said, { role: 'user', content: draft.trim() }], worker === '' ? null : worker, {
      tokens,
      whole,
    });
  };
  return (
    <form
      class="card"
      onSubmit={(event) => {
        event.preventDefault();
        if (draft.trim() !== '' && !busy) send();
      }}
    >
      <h1>Chat</h1>
      <Text label="System message" rows={8} value={system} onInput={setSystem} />
      <Text label="Question" rows={2} value={draft} onInput={setDraft} submits />
      <div class="tools">
        <label class="check">
          <input type="checkbox" checked={remember} onChange={(event) => setRemember(event.currentTarget.checked)} />
          Send the earlier questions and answers along
        </label>
        <label>
          Longest answer{' '}
          <select value={tokens} onChange={(event) => setTokens(Number(event.currentTarget.value))}>
            {LENGTHS.map((length) => (
              <option key={length} value={length}>
                {length.toLocaleString('en')} tokens
              </option>
            ))}
          </select>
        </label>
        <label class="check" title="The field ignore_eos">
          <input type="checkbox" checked={whole} onChange={(event) => setWhole(event.currentTarget.checked)} />
          Do not stop early, even where the model would end
        </label>
        {workers.length === 0 && routing === false && (
          <p class="hint">To choose the worker, start the coordinator with --allow-routing.</p>
        )}
        {workers.length > 0 && <WorkerChoice workers={workers} worker={worker} onChoose={setWorker} />}
      </div>
      <p class="buttons">
        <button type="submit" class="primary" disabled={busy || draft.trim() === ''}>
          Send
        </button>
        <button type="button" disabled={!busy} onClick={chat.stop}>
          Stop
        </button>
        <button type="button" disabled={busy || answers.length === 0} onClick={chat.clear}>
          Clear
        </button>
      </p>
    </form>
  );
}

interface WorkerChoiceProps {
  readonly workers: readonly string[];
  /** Empty for any. */
  readonly worker: string;
  readonly onChoose: (worker: string) => void;
}

function WorkerChoice({ workers, worker, onChoose }: WorkerChoiceProps) {
  return (
    <label>
      Worker{' '}
      <select value={worker} onChange={(event) => onChoose(event.currentTarget.value)}>
        <option value="">any</option>
        {workers.map((id) => (
          <option key={id}>{id}</option>
        ))}
      </select>
    </label>
  );
}

interface TextProps {
  readonly label: string;
  readonly rows: number;
  readonly value: string;
  readonly onInput: (value: string) => void;
  /** Whether Enter sends the form; Shift and Enter begin a line. */
  readonly submits?: boolean;
}

function Text({ label, rows, value, onInput, submits = false }: TextProps) {
  return (
    <label>
      {label}
      <textarea
        rows={rows}
        value={value}
        onInput={(event) => onInput(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (!submits || event.key !== 'Enter' || event.shiftKey) return;
          event.preventDefault();
          event.currentTarget.form?.requestSubmit();
        }}
      />
    </label>
  );
}
