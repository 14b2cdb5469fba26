import { useRef, useState } from 'preact/hooks';
import type { Api } from '../session/api.js';
import type { ChatPrompt } from './prompt-colours.js';
import { type AnswerCost, type ChatQuestion, newRequestId, streamAnswer } from './stream-answer.js';

/** The answers of a chat, oldest first, and the way to get another. */

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

export interface Answers {
  readonly answers: readonly ChatAnswer[];
  readonly busy: boolean;
  /** @param worker the one that has to answer; null for any */
  ask(asked: ChatPrompt, worker: string | null, length: AnswerLength): Promise<void>;
  stop(): void;
  clear(): void;
}

export function useAnswers(api: Api, model: string): Answers {
  const [answers, setAnswers] = useState<readonly ChatAnswer[]>([]);
  const [busy, setBusy] = useState(false);
  const running = useRef<AbortController | null>(null);
  const ask = async (asked: ChatPrompt, worker: string | null, length: AnswerLength) => {
    const { tokens, whole } = length;
    const body = { model, ...asked, max_tokens: tokens, temperature: 0, ...(whole && { ignore_eos: true }) };
    const question: ChatQuestion = {
      path: 'prompt' in asked ? '/v1/completions' : '/v1/chat/completions',
      body,
      worker,
      request: newRequestId(),
    };
    let current: ChatAnswer = { question, asked, length, text: '', cost: null, error: null };
    const show = (change: Partial<ChatAnswer>) => {
      current = { ...current, ...change };
      setAnswers([...answers, current]);
    };
    const stop = new AbortController();
    running.current = stop;
    setBusy(true);
    show({});
    try {
      show({ cost: await streamAnswer(api, question, stop.signal, (piece) => show({ text: current.text + piece })) });
    } catch (error) {
      show({ error: stop.signal.aborted ? 'stopped' : (error as Error).message });
    }
    setBusy(false);
  };
  return { answers, busy, ask, stop: () => running.current?.abort(), clear: () => setAnswers([]) };
}
