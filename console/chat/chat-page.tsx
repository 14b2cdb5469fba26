import type { FeedConnection } from '../feed/connection.js';
import { type RequestTrace, workerOf } from '../feed/request-trace.js';
import { useStore } from '../feed/use-store.js';
import { SourceLegend } from '../parts/source-bar.js';
import type { Api } from '../session/api.js';
import { AnswerCard } from './answer-card.js';
import { type ChatAnswer, type ChatDraft, type ChatLog, LENGTHS } from './chat-log.js';
import { rateFor } from './cold-cost.js';
import { earlierCosts } from './earlier-costs.js';
import type { ChatPrompt, SaidMessage } from './prompt-colours.js';

/** A chat with the model that shows what each answer cost, and where the K/V of its prompt came from. */

export interface ChatPageProps {
  readonly api: Api;
  readonly feed: FeedConnection;
  readonly log: ChatLog;
}

export function ChatPage({ api, feed, log }: ChatPageProps) {
  const model = useStore(feed.model, 500);
  const { hello, workers } = model;
  const { answers, busy, traces } = useStore(log.chat);
  const serving = [...workers.values()].filter(({ state }) => state === 'serving').map(({ id }) => id);
  const nameable = hello?.routing === true ? serving : [];
  const earlier = earlierCosts(answers);
  return (
    <div class="chat-page">
      <QuestionForm log={log} workers={nameable} routing={hello?.routing ?? null} />
      <section class="column" aria-label="Answers" aria-live="polite">
        <SourceLegend />
        {answers.length === 0 && (
          <p class="card hint">
            Each answer comes with its cost: the time to its first token, and a bar that shows how much of the prompt
            was in the worker’s own memory, was fetched from another worker, or had to be computed.
          </p>
        )}
        {answers
          .map((answered, index) => (
            <AnswerCard
              key={answered.question.request}
              api={api}
              answered={answered}
              earlier={earlier[index]!}
              rate={rateFor(answered.cost?.worker ?? '', workers.values())}
              trace={traces.get(answered.question.request)}
              workers={workers}
              happened={model.happened}
              others={othersOf(nameable, answered, traces)}
              busy={busy}
              onAgain={(worker) =>
                void log.ask(answered.asked, nameable.includes(worker) ? worker : null, answered.length)
              }
            />
          ))
          .toReversed()}
      </section>
    </div>
  );
}

/** The workers that have no part in the answer. */
function othersOf(
  workers: readonly string[],
  { cost, question }: ChatAnswer,
  traces: ReadonlyMap<string, RequestTrace>,
): readonly string[] {
  const trace = traces.get(question.request);
  const last = trace === undefined ? null : workerOf(trace);
  return workers.filter((id) => id !== cost?.worker && id !== last);
}

interface QuestionFormProps {
  readonly log: ChatLog;
  /** Those that a question may name. */
  readonly workers: readonly string[];
  /** Whether a question may name its worker at all; null until that is known. */
  readonly routing: boolean | null;
}

function QuestionForm({ log, workers, routing }: QuestionFormProps) {
  const { busy, answers } = useStore(log.chat);
  const draft = useStore(log.draft);
  const { mode, system, question, text, remember, worker, length } = draft;
  const empty = (mode === 'completion' ? text : question).trim() === '';
  const send = () => {
    const asked = mode === 'completion' ? { prompt: text } : conversation(draft, remember ? answers : []);
    // The chosen worker may be gone meanwhile.
    void log.ask(asked, workers.includes(worker) ? worker : null, length);
  };
  return (
    <form
      class="card"
      onSubmit={(event) => {
        event.preventDefault();
        if (!empty && !busy) send();
      }}
    >
      <h1>Chat</h1>
      <ModeChoice mode={mode} onChoose={(next) => log.write({ mode: next })} />
      {mode === 'completion' && (
        <Text label="Text to continue" rows={10} value={text} onInput={(next) => log.write({ text: next })} />
      )}
      {mode === 'chat' && (
        <>
          <Text label="System message" rows={8} value={system} onInput={(next) => log.write({ system: next })} />
          <Text label="Question" rows={2} value={question} onInput={(next) => log.write({ question: next })} submits />
        </>
      )}
      <Settings {...{ draft, workers, routing }} onChange={(change) => log.write(change)} />
      <p class="buttons">
        <button type="submit" class="primary" disabled={busy || empty}>
          Send
        </button>
        <button type="button" disabled={!busy} onClick={() => log.stop()}>
          Stop
        </button>
        <button type="button" disabled={busy || answers.length === 0} onClick={() => log.clear()}>
          Clear
        </button>
      </p>
    </form>
  );
}

interface SettingsProps extends Pick<QuestionFormProps, 'workers' | 'routing'> {
  readonly draft: ChatDraft;
  readonly onChange: (change: Partial<ChatDraft>) => void;
}

/** How the question is asked. */
function Settings({ draft: { mode, remember, worker, length }, workers, routing, onChange }: SettingsProps) {
  return (
    <div class="tools">
      {mode === 'chat' && (
        <label class="check">
          <input
            type="checkbox"
            checked={remember}
            onChange={(event) => onChange({ remember: event.currentTarget.checked })}
          />
          Send the earlier questions and answers along
        </label>
      )}
      <LengthChoice tokens={length.tokens} onChoose={(tokens) => onChange({ length: { ...length, tokens } })} />
      <label class="check" title="The field ignore_eos">
        <input
          type="checkbox"
          checked={length.whole}
          onChange={(event) => onChange({ length: { ...length, whole: event.currentTarget.checked } })}
        />
        Do not stop early, even where the model would end
      </label>
      {workers.length === 0 && routing === false && (
        <p class="hint">To choose the worker, start the coordinator with --allow-routing.</p>
      )}
      {workers.length > 0 && (
        <WorkerChoice
          workers={workers}
          worker={workers.includes(worker) ? worker : ''}
          onChoose={(next) => onChange({ worker: next })}
        />
      )}
    </div>
  );
}

/** The messages of a question, after those of earlier answers of the chat. */
function conversation({ system, question }: ChatDraft, answers: readonly ChatAnswer[]): ChatPrompt {
  const own: SaidMessage[] = system.trim() === '' ? [] : [{ role: 'system', content: system }];
  const said = answers.flatMap(({ asked, text }): SaidMessage[] =>
    'prompt' in asked ? [] : [asked.messages.at(-1)!, { role: 'assistant', content: text }],
  );
  return { messages: [...own, ...said, { role: 'user', content: question.trim() }] };
}

interface ModeChoiceProps {
  readonly mode: ChatDraft['mode'];
  readonly onChoose: (mode: ChatDraft['mode']) => void;
}

function ModeChoice({ mode, onChoose }: ModeChoiceProps) {
  return (
    <label>
      Ask for{' '}
      <select value={mode} onChange={(event) => onChoose(event.currentTarget.value as ChatDraft['mode'])}>
        <option value="chat">an answer in a chat</option>
        <option value="completion">a completion of a text</option>
      </select>
    </label>
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

function LengthChoice({ tokens, onChoose }: { readonly tokens: number; readonly onChoose: (tokens: number) => void }) {
  return (
    <label>
      Longest answer{' '}
      <select value={tokens} onChange={(event) => onChoose(Number(event.currentTarget.value))}>
        {LENGTHS.map((length) => (
          <option key={length} value={length}>
            {length.toLocaleString('en')} tokens
          </option>
        ))}
      </select>
    </label>
  );
}
