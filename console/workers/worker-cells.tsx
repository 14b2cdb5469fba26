import type { FeedWorker } from '../../src/console/feed-messages.js';
import { byteText } from '../parts/words.js';

/** The cells of a worker that are more than a text. */

export function WorkerState({ worker: { state, quarantined } }: { readonly worker: FeedWorker }) {
  return (
    <span class={`state ${state}`}>
      <span class="mark" aria-hidden="true" />
      {quarantined ? 'quarantined' : state}
    </span>
  );
}

/** @param short without the budget, where there is little room */
export function WorkerMemory({
  worker: { bytes, budget },
  short = false,
}: {
  readonly worker: FeedWorker;
  readonly short?: boolean;
}) {
  return (
    <span class="memory">
      <meter min={0} max={Math.max(1, budget)} value={bytes} aria-label="Memory for blocks in use" />
      <span class="number" title={`${byteText(bytes)} of ${byteText(budget)}`}>
        {short ? byteText(bytes) : `${byteText(bytes)} of ${byteText(budget)}`}
      </span>
    </span>
  );
}
