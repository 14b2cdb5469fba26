import { useEffect, useRef, useState } from 'preact/hooks';
import { newRequestId, streamAnswer } from '../chat/stream-answer.js';
import type { Api } from '../session/api.js';
import { AnswerCheck, type AnswerCounts, NO_ANSWERS } from './answer-check.js';

/** Sends requests without a pause, and checks the answers, until stopped or until the page is left. */

/** Requests at a time. */
const ASKERS = 4;
/** Pause after a request that failed, so that a fleet that is away is not flooded. */
const PAUSE_MS = 500;

export interface SteadyAsking {
  readonly running: boolean;
  readonly counts: AnswerCounts;
  /** Why the last request failed that did; null if none has. */
  readonly problem: string | null;
  start(): void;
  stop(): void;
}

export function useSteadyAsking(api: Api): SteadyAsking {
  const [counts, setCounts] = useState<AnswerCounts>(NO_ANSWERS);
  const [problem, setProblem] = useState<string | null>(null);
  const [running, setRunning] = useState(false);
  const stopping = useRef<AbortController | null>(null);
  const stop = () => {
    stopping.current?.abort();
    setRunning(false);
  };
  useEffect(() => () => stopping.current?.abort(), []);
  const start = () => {
    stopping.current = new AbortController();
    const { signal } = stopping.current;
    const check = new AnswerCheck();
    setRunning(true);
    setProblem(null);
    const ask = async () => {
      while (!signal.aborted) {
        const failure = await askOnce(api, check, signal);
        if (signal.aborted) return;
        setCounts(check.counts);
        if (failure === null) continue;
        setProblem(failure);
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    };
    for (let asker = 0; asker < ASKERS; asker++) void ask();
  };
  return { running, counts, problem, start, stop };
}

/** Gives the reason if the request failed. */
async function askOnce(api: Api, check: AnswerCheck, signal: AbortSignal): Promise<string | null> {
  const prompt = check.next();
  check.asked();
  const body = { prompt, max_tokens: 16, temperature: 0, stop: ['\n'] };
  let answer = '';
  try {
    const question = { path: '/v1/completions' as const, body, worker: null, request: newRequestId() };
    await streamAnswer(api, question, signal, (piece) => {
      answer += piece;
    });
    check.answered(prompt, answer);
    return null;
  } catch (error) {
    if (!signal.aborted) check.failed();
    return (error as Error).message;
  }
}
