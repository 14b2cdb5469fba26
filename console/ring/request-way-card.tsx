import { useRef, useState } from 'preact/hooks';
import type { FeedConnection } from '../feed/connection.js';
import { useStore } from '../feed/use-store.js';
import { addressOf } from '../parts/address.js';
import { requestName } from '../parts/words.js';
import { type WayKind, wayOf } from './request-way.js';
import { nextShown, type ShownRequest } from './shown-request.js';

/** The way of one request, step by step, while others travel over the ring. */

const SWATCHES: Readonly<Record<WayKind, string>> = {
  placed: 'waited',
  local: 'local',
  remote: 'remote',
  computed: 'computed',
  streamed: 'streamed',
  failed: 'failed',
};

const REFRESH_MS = 400;

export interface RequestWayCardProps {
  readonly feed: FeedConnection;
  /** The worker whose requests are shown; null for all. */
  readonly worker: string | null;
  /** The request that the reader made last on this page, by its client's name; null for none. */
  readonly asked: string | null;
}

export function RequestWayCard({ feed, worker, asked }: RequestWayCardProps) {
  const model = useStore(feed.model, REFRESH_MS);
  const [held, setHeld] = useState(false);
  const shown = useRef<ShownRequest | null>(null);
  shown.current = nextShown(shown.current, model.traces, { worker, asked, held, now: feed.now() });
  const trace = shown.current === null ? undefined : model.traces.get(shown.current.id);
  return (
    <section class="card" aria-labelledby="way-title">
      <div class="tools">
        <h2 id="way-title">The way of a request</h2>
        {trace !== undefined && (
          <>
            <span class="hint">
              <a href={addressOf('requests')}>{requestName(trace.id)}</a>
            </span>
            <button type="button" class="small" aria-pressed={held} onClick={() => setHeld(!held)}>
              Hold
            </button>
          </>
        )}
      </div>
      {trace === undefined && (
        <p class="hint">
          {worker === null ? 'No request yet: ask the sample prompt.' : `No request of ${worker} yet.`}
        </p>
      )}
      {trace !== undefined && (
        <ol class="way">
          {wayOf(trace, model.happened).map(({ kind, title, text }, index) => (
            <li key={`${title} ${index}`}>
              <strong>
                <span class={`swatch ${SWATCHES[kind]}`} aria-hidden="true" />
                {title}
              </strong>
              <span>{text}</span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
