import { timeText } from '../parts/words.js';
import { type ColdCost, coldSentence } from './cold-cost.js';
import type { AnswerCost } from './stream-answer.js';

/** The time to the first token beside the time that it would have taken without K/V. */
export function CostBars({ cost, cold }: { readonly cost: AnswerCost; readonly cold: ColdCost | null }) {
  const scale = Math.max(cost.ttft_ms, cold?.ms ?? 0, 0.1);
  return (
    <>
      <p class="hint">
        First token after {timeText(cost.ttft_ms)}, of which queued {timeText(cost.queue_ms)}.
      </p>
      <div class="cost-bars" aria-hidden="true">
        <Bar name="this answer" ms={cost.ttft_ms} scale={scale} kind="now" />
        {cold !== null && (
          <Bar
            name={cold.measured ? 'from nothing' : 'from nothing, estimated'}
            ms={cold.ms}
            scale={scale}
            kind={cold.measured ? 'cold' : 'cold estimate'}
          />
        )}
      </div>
      {cold !== null && <p class="sentence">{coldSentence(cost, cold, timeText)}</p>}
      {cold === null && (
        <p class="hint">
          {cost.cached.local + cost.cached.remote === 0
            ? 'This answer was itself computed from nothing.'
            : 'No worker has measured yet how fast it computes a prompt, so there is no estimate without K/V.'}
        </p>
      )}
    </>
  );
}

interface BarProps {
  readonly name: string;
  readonly ms: number;
  readonly scale: number;
  readonly kind: string;
}

function Bar({ name, ms, scale, kind }: BarProps) {
  return (
    <>
      <span class="hint">{name}</span>
      <span class="cost-track">
        <span class={`cost-bar ${kind}`} style={{ width: `${Math.max(0.5, (100 * ms) / scale)}%` }} />
      </span>
      <span class="number">{timeText(ms)}</span>
    </>
  );
}
