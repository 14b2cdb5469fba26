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

export function WorkerMemory({ worker: { bytes, budget } }: { readonly worker: FeedWorker }) {
  return (
    <span class="memory">
      <meter min={0} max={Math.max(1, budget)} value={bytes} aria-label="Memory for blocks in use" />
      <span class="number">
        {byteText(bytes)} of {byteText(budget)}
      </span>
    </span>
  );
}
