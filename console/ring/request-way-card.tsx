import { useRef, useState } from 'preact/hooks';
import type { FleetModel } from '../feed/fleet-model.js';
import type { RequestTrace } from '../feed/request-trace.js';
import { addressOf } from '../parts/address.js';
import { newestOf, type WayKind, wayOf } from './request-way.js';

/** The way of one request, step by step, while others travel over the ring. */

/** How long a finished request stays before a newer one takes its place: long enough to read it. */
const READING_MS = 6_000;

const SWATCHES: Readonly<Record<WayKind, string>> = {
  placed: 'waited',
  local: 'local',
  remote: 'remote',
  computed: 'computed',
  streamed: 'streamed',
  failed: 'failed',
};

export interface RequestWayCardProps {
  readonly model: FleetModel;
  /** The worker whose requests are shown; null for all. */
  readonly worker: string | null;
  readonly now: number;
}

export function RequestWayCard({ model, worker, now }: RequestWayCardProps) {
  const [held, setHeld] = useState(false);
  const trace = useShown(model, worker, held, now);
  return (
    <section class="card" aria-labelledby="way-title">
      <div class="tools">
        <h2 id="way-title">The way of a request</h2>
        {trace !== undefined && (
          <>
            <span class="hint">
              <a href={addressOf('requests')}>#{trace.id}</a>
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
          {wayOf(trace).map(({ kind, title, text }, index) => (
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

/** The shown request in its latest state. A newer one follows when it is over and has been read, and never while the reader holds it. */
function useShown(model: FleetModel, worker: string | null, held: boolean, now: number): RequestTrace | undefined {
  const shown = useRef<{ readonly id: number; readonly worker: string | null; readonly sinceMs: number } | null>(null);
  const known = shown.current === null ? undefined : model.traces.get(shown.current.id);
  const newest = newestOf(model.traces, worker);
  const read = known?.ended != null && now - Math.max(known.ended.at, shown.current!.sinceMs) >= READING_MS;
  const changes = shown.current?.worker !== worker || known === undefined || read;
  if (newest !== undefined && newest.id !== known?.id && changes && !held) {
    shown.current = { id: newest.id, worker, sinceMs: now };
    return newest;
  }
  return shown.current?.worker === worker ? known : undefined;
}
