import { useRef, useState } from 'preact/hooks';
import type { FeedConnection } from '../feed/connection.js';
import type { FleetModel } from '../feed/fleet-model.js';
import { type RequestTrace, traceOf, workerOf } from '../feed/request-trace.js';
import { useStore } from '../feed/store.js';
import { SourceLegend } from '../parts/source-bar.js';
import { SAMPLE_NOTES, SAMPLE_PROMPT, SAMPLE_QUESTION } from '../ring/sample-prompt.js';
import type { Api } from '../session/api.js';
import { AnswerCard } from './answer-card.js';
import { rateFor } from './cold-cost.js';
import type { ChatPrompt, SaidMessage } from './prompt-colours.js';
import type { AnswerCost } from './stream-answer.js';
import { type Answers, type ChatAnswer, useAnswers } from './use-answers.js';

/** The most tokens of an answer. */
const LENGTHS = [64, 256, 1_024] as const;

/** `completion`: the model continues a text, without the format of a chat. */
type Mode = 'chat' | 'completion';

/** A chat with the model that shows what each answer cost, and where the K/V of its prompt came from. */

export function ChatPage({ api, feed }: { readonly api: Api; readonly feed: FeedConnection }) {
  const model = useStore(feed.model, 500);
  const { hello, workers } = model;
  const chat = useAnswers(api, hello?.model ?? '');
  const traces = useKeptTraces(model, chat.answers);
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
              api={api}
              answered={answered}
              earlier={costsBefore(chat.answers.slice(0, index), answered)}
              rate={rateFor(answered.cost?.worker ?? '', workers.values())}
              trace={traces.get(answered.question.request)}
              workers={workers}
              happened={model.happened}
              others={othersOf(nameable, answered, traces)}
              busy={chat.busy}
              onAgain={(worker) =>
                void chat.ask(answered.asked, nameable.includes(worker) ? worker : null, answered.length)
              }
            />
          ))
          .toReversed()}
      </section>
    </div>
  );
}

/** The costs of those answers whose prompt was the same. */
function costsBefore(before: readonly ChatAnswer[], { asked }: ChatAnswer): AnswerCost[] {
  const prompt = JSON.stringify(asked);
  return before.flatMap((each) => (each.cost !== null && JSON.stringify(each.asked) === prompt ? [each.cost] : []));
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

/** What the coordinator told of each answer, by the name of its request: the page forgets requests, and a new connection knows none. */
function useKeptTraces(model: FleetModel, answers: readonly ChatAnswer[]): ReadonlyMap<string, RequestTrace> {
  const kept = useRef(new Map<string, RequestTrace>());
  for (const { question } of answers) {
    const trace = traceOf(model.traces, question.request);
    if (trace !== undefined) kept.current.set(question.request, trace);
  }
  return kept.current;
}

interface QuestionFormProps {
  readonly chat: Answers;
  /** Those that a question may name. */
  readonly workers: readonly string[];
  /** Whether a question may name its worker at all; null until that is known. */
  readonly routing: boolean | null;
}

function QuestionForm({ chat, workers, routing }: QuestionFormProps) {
  const [mode, setMode] = useState<Mode>('chat');
  const [system, setSystem] = useState(`Notes:\n${SAMPLE_NOTES.join('\n')}`);
  const [draft, setDraft] = useState(SAMPLE_QUESTION);
  const [remember, setRemember] = useState(false);
  const [worker, setWorker] = useState('');
  const [tokens, setTokens] = useState<number>(LENGTHS[0]);
  const [whole, setWhole] = useState(false);
  const [text, setText] = useState(SAMPLE_PROMPT);
  const { busy, answers } = chat;
  const empty = (mode === 'completion' ? text : draft).trim() === '';
  const send = () => {
    const asked = mode === 'completion' ? { prompt: text } : conversation(system, remember ? answers : [], draft);
    void chat.ask(asked, worker === '' ? null : worker, { tokens, whole });
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
      <ModeChoice mode={mode} onChoose={setMode} />
      {mode === 'completion' && <Text label="Text to continue" rows={10} value={text} onInput={setText} />}
      {mode === 'chat' && (
        <>
          <Text label="System message" rows={8} value={system} onInput={setSystem} />
          <Text label="Question" rows={2} value={draft} onInput={setDraft} submits />
        </>
      )}
      <div class="tools">
        {mode === 'chat' && (
          <label class="check">
            <input type="checkbox" checked={remember} onChange={(event) => setRemember(event.currentTarget.checked)} />
            Send the earlier questions and answers along
          </label>
        )}
        <LengthChoice tokens={tokens} onChoose={setTokens} />
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
        <button type="submit" class="primary" disabled={busy || empty}>
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

/** The messages of a question, after those of earlier answers of the chat. */
function conversation(system: string, answers: readonly ChatAnswer[], question: string): ChatPrompt {
  const own: SaidMessage[] = system.trim() === '' ? [] : [{ role: 'system', content: system }];
  const said = answers.flatMap(({ asked, text }): SaidMessage[] =>
    'prompt' in asked ? [] : [asked.messages.at(-1)!, { role: 'assistant', content: text }],
  );
  return { messages: [...own, ...said, { role: 'user', content: question.trim() }] };
}

interface ModeChoiceProps {
  readonly mode: Mode;
  readonly onChoose: (mode: Mode) => void;
}

function ModeChoice({ mode, onChoose }: ModeChoiceProps) {
  return (
    <label>
      Ask for{' '}
      <select value={mode} onChange={(event) => onChoose(event.currentTarget.value as Mode)}>
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
