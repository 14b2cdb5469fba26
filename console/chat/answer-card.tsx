import type { FeedWorker, Happening } from '../../src/console/feed-messages.js';
import { promptAttempt, type RequestTrace, workerOf } from '../feed/request-trace.js';
import { movesOf } from '../parts/moves.js';
import { progressText } from '../parts/progress.js';
import { SourceBar } from '../parts/source-bar.js';
import { missText, sourceSentence } from '../parts/words.js';
import type { Api } from '../session/api.js';
import { storedKey } from '../session/key-store.js';
import type { ChatAnswer } from './chat-log.js';
import { type ComputeRate, coldCost } from './cold-cost.js';
import { ColouredPrompt } from './coloured-prompt.js';
import { CostBars } from './cost-bars.js';
import { Snippet } from './snippet.js';
import { curlSnippet, sdkSnippet } from './snippets.js';
import type { AnswerCost } from './stream-answer.js';

/** One answer of the chat with its cost. */

export interface AnswerCardProps {
  readonly api: Api;
  readonly answered: ChatAnswer;
  /** The costs of the answers to the same prompt before. */
  readonly earlier: readonly AnswerCost[];
  /** How fast the worker that answered computes a prompt; null if it is not known. */
  readonly rate: ComputeRate | null;
  /** The same request as the coordinator saw it; undefined if this page did not. */
  readonly trace: RequestTrace | undefined;
  readonly workers: ReadonlyMap<string, FeedWorker>;
  /** Newest first. */
  readonly happened: readonly Happening[];
  /** Other workers that may be asked. Empty if requests may not name their worker. */
  readonly others: readonly string[];
  readonly busy: boolean;
  /** Asks the same of this worker, or of the one that answered. */
  readonly onAgain: (worker: string) => void;
}

export function AnswerCard(props: AnswerCardProps) {
  const { api, answered, earlier, rate, trace, workers, happened, others, busy, onAgain } = props;
  const { asked, text, cost, error, question } = answered;
  const attempt = trace === undefined ? null : (promptAttempt(trace) ?? null);
  const moves = trace === undefined ? [] : movesOf(trace, happened);
  /** The worker that gave the end of the answer. */
  const last = (trace === undefined ? null : workerOf(trace)) ?? cost?.worker ?? '';
  const keyed = storedKey() !== null;
  return (
    <article class="card answer">
      <p class="asked">{'prompt' in asked ? asked.prompt : asked.messages.at(-1)?.content}</p>
      <p class="said">{text === '' && error === null ? progressText(trace, workers) : text}</p>
      {moves.map((move) => (
        <p key={move} class="sentence">
          {move}.
        </p>
      ))}
      {error !== null && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      {cost !== null && (
        <>
          <CostBars cost={cost} cold={coldCost(cost, earlier, rate)} />
          <SourceBar cached={cost.cached} />
          <p class="sentence">
            {sourceSentence(cost.worker, cost.cached, attempt)} {attempt !== null && missText(attempt, happened)}
          </p>
          <p class="buttons">
            <button type="button" class="small" disabled={busy} onClick={() => onAgain(last)}>
              Ask again
            </button>
            {others.length > 0 && (
              <button type="button" class="small" disabled={busy} onClick={() => onAgain(others[0]!)}>
                Ask {others[0]}
              </button>
            )}
          </p>
        </>
      )}
      {cost !== null && <ColouredPrompt api={api} asked={asked} cached={cost.cached} />}
      <details>
        <summary>The same request with curl and the SDK</summary>
        <Snippet title="curl" text={curlSnippet(location.origin, question, keyed)} />
        <Snippet title="OpenAI’s SDK for JavaScript" text={sdkSnippet(location.origin, question, keyed)} />
      </details>
    </article>
  );
}
