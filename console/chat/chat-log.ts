import type { FleetModel } from '../feed/fleet-model.js';
import { type RequestTrace, traceOf } from '../feed/request-trace.js';
import { Store } from '../feed/store.js';
import { SAMPLE_NOTES, SAMPLE_PROMPT, SAMPLE_QUESTION } from '../ring/sample-prompt.js';
import type { Api } from '../session/api.js';
import type { ChatPrompt } from './prompt-colours.js';
import { type AnswerCost, type ChatQuestion, newRequestId, streamAnswer } from './stream-answer.js';

/** The chat of a tab, from which the pages that show it come and go: its answers, the way to get another, and what the reader is about to ask. */

/** Limits on what a tab keeps. The latest answer stays. @internal exported for tests. */
export const KEPT_ANSWERS = 50;
const KEPT_CHARACTERS = 4_000_000;
/** How often the traces of answers are gathered. */
const GATHER_MS = 500;
/** The latest answers, whose workers may still tell what they found. */
const GATHERED_ANSWERS = 4;

/** The limits on an answer's length to choose from, in tokens. */
export const LENGTHS = [64, 256, 1_024] as const;

/** One answer, with everything that is shown of it. */
export interface ChatAnswer {
  readonly question: ChatQuestion;
  readonly asked: ChatPrompt;
  readonly length: AnswerLength;
  readonly text: string;
  readonly cost: AnswerCost | null;
  readonly error: string | null;
}

/** The limit on an answer's length, and whether it continues up to there even if the model ends it. */
interface AnswerLength {
  readonly tokens: number;
  readonly whole: boolean;
}

export interface Chat {
  /** Oldest first. */
  readonly answers: readonly ChatAnswer[];
  readonly busy: boolean;
  /** What the coordinator told of each answer, by the name of its request: the feed forgets requests, and a new connection knows none. */
  readonly traces: ReadonlyMap<string, RequestTrace>;
}

/** The next question, as far as the reader has written it. */
export interface ChatDraft {
  /** `completion`: the model continues a text, without the format of a chat. */
  readonly mode: 'chat' | 'completion';
  readonly system: string;
  readonly question: string;
  /** The text to continue. */
  readonly text: string;
  /** Whether the earlier questions and answers go along. */
  readonly remember: boolean;
  /** Empty for any. */
  readonly worker: string;
  readonly length: AnswerLength;
}

const EMPTY_CHAT: Chat = { answers: [], busy: false, traces: new Map() };
const FIRST_DRAFT: ChatDraft = {
  mode: 'chat',
  system: `Notes:\n${SAMPLE_NOTES.join('\n')}`,
  question: SAMPLE_QUESTION,
  text: SAMPLE_PROMPT,
  remember: false,
  worker: '',
  length: { tokens: LENGTHS[0], whole: false },
};

export class ChatLog {
  readonly chat = new Store<Chat>(EMPTY_CHAT);
  readonly draft = new Store<ChatDraft>(FIRST_DRAFT);
  private running: AbortController | null = null;
  private gathering: ReturnType<typeof setTimeout> | null = null;
  private readonly unfollow: () => void;

  constructor(
    private readonly api: Api,
    private readonly model: Store<FleetModel>,
  ) {
    this.unfollow = model.subscribe(() => {
      if (this.chat.value.answers.length === 0) return;
      this.gathering ??= setTimeout(() => this.gather(), GATHER_MS);
    });
  }

  /** @param worker the one that has to begin the answer; null for any */
  async ask(asked: ChatPrompt, worker: string | null, length: AnswerLength): Promise<void> {
    const { tokens, whole } = length;
    const model = this.model.value.hello?.model ?? '';
    const body = { model, ...asked, max_tokens: tokens, temperature: 0, ...(whole && { ignore_eos: true }) };
    const question: ChatQuestion = {
      path: 'prompt' in asked ? '/v1/completions' : '/v1/chat/completions',
      body,
      worker,
      request: newRequestId(),
    };
    let current: ChatAnswer = { question, asked, length, text: '', cost: null, error: null };
    const before = this.chat.value.answers;
    const show = (change: Partial<ChatAnswer>) => {
      current = { ...current, ...change };
      this.change({ answers: keptAnswers([...before, current]) });
    };
    const stop = new AbortController();
    this.running = stop;
    this.change({ busy: true });
    show({});
    try {
      const onText = (piece: string) => show({ text: current.text + piece });
      show({ cost: await streamAnswer(this.api, question, stop.signal, onText) });
    } catch (error) {
      show({ error: stop.signal.aborted ? 'stopped' : (error as Error).message });
    }
    this.change({ busy: false });
  }

  /** Stops the answer that runs. */
  stop(): void {
    this.running?.abort();
  }

  clear(): void {
    this.chat.set(EMPTY_CHAT);
  }

  write(change: Partial<ChatDraft>): void {
    this.draft.update((draft) => ({ ...draft, ...change }));
  }

  /** The log is given up: its key is no longer in use. */
  end(): void {
    this.stop();
    this.unfollow();
    if (this.gathering !== null) clearTimeout(this.gathering);
  }

  private gather(): void {
    this.gathering = null;
    const { answers, traces } = this.chat.value;
    const asked = new Set(answers.map(({ question }) => question.request));
    const gathered = new Map([...traces].filter(([request]) => asked.has(request)));
    for (const request of [...asked].slice(-GATHERED_ANSWERS)) {
      const trace = traceOf(this.model.value.traces, request);
      if (trace !== undefined) gathered.set(request, trace);
    }
    this.change({ traces: gathered });
  }

  private change(change: Partial<Chat>): void {
    this.chat.update((chat) => ({ ...chat, ...change }));
  }
}

/** The latest answers, as many as a tab keeps. */
function keptAnswers(answers: readonly ChatAnswer[]): readonly ChatAnswer[] {
  let characters = 0;
  const kept = answers.slice(-KEPT_ANSWERS);
  const from = kept.findLastIndex((answer, index) => {
    characters += charactersOf(answer);
    return characters > KEPT_CHARACTERS && index < kept.length - 1;
  });
  return kept.slice(from + 1);
}

function charactersOf({ asked, text }: ChatAnswer): number {
  if ('prompt' in asked) return asked.prompt.length + text.length;
  return asked.messages.reduce((sum, { content }) => sum + content.length, text.length);
}
