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
      {cold !== null && (
        <>
          <div class="cost-bars" aria-hidden="true">
            <Bar name="this answer" ms={cost.ttft_ms} scale={scale} kind="now" />
            <Bar
              name={cold.measured ? 'from nothing' : 'from nothing, estimated'}
              ms={cold.ms}
              scale={scale}
              kind={cold.measured ? 'cold' : 'cold estimate'}
            />
          </div>
          <p class="sentence">{coldSentence(cost, cold, timeText)}</p>
        </>
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
