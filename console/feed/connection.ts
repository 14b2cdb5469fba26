import type { FeedMessage } from '../../src/console/feed-messages.js';
import { type Api, ApiFailure } from '../session/api.js';
import { readFeedMessage } from './feed-message.js';
import type { FeedStatus } from './feed-status.js';
import { EMPTY_MODEL, type FleetModel, reduce } from './fleet-model.js';
import { Store } from './store.js';

/** Keeps the model of the fleet up to date, over connections that may break. */

/** Pauses between attempts: the first, and the longest. */
const RETRY_MS = 500;
const RETRY_CEILING_MS = 5_000;
/** Without any message for this long, the connection counts as broken: a beat comes every second. */
const SILENCE_MS = 5_000;

export class FeedConnection {
  readonly model = new Store<FleetModel>(EMPTY_MODEL);
  readonly status = new Store<FeedStatus>({ state: 'connecting' });
  private readonly closed = new AbortController();
  /** The coordinator's clock minus the page's. */
  private offsetMs = Number.NEGATIVE_INFINITY;

  /** When the last message came, by the page's clock; null before the first. */
  private heardMs: number | null = null;

  constructor(private readonly api: Api) {}

  /** The coordinator's clock, so far as the page knows it. */
  now(): number {
    return Number.isFinite(this.offsetMs) ? performance.now() + this.offsetMs : this.model.value.at;
  }

  open(): void {
    void this.run();
  }

  close(): void {
    this.closed.abort();
  }

  private async run(): Promise<void> {
    const { signal } = this.closed;
    for (let pauseMs = RETRY_MS; !signal.aborted; pauseMs = Math.min(RETRY_CEILING_MS, 2 * pauseMs)) {
      const failure = await this.follow().catch((error: unknown) => error);
      if (signal.aborted) return;
      if (this.status.value.state === 'live') pauseMs = RETRY_MS;
      if (failure instanceof ApiFailure && (failure.status === 401 || failure.status === 403)) {
        this.status.set({ state: 'locked', why: failure.message, status: failure.status });
        return;
      }
      const why = failure instanceof ApiFailure ? failure.message : 'the connection to the coordinator broke';
      this.status.set({ state: 'lost', why, since: this.heardMs });
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  private async follow(): Promise<void> {
    const broken = new AbortController();
    const signal = AbortSignal.any([this.closed.signal, broken.signal]);
    let heardMs = performance.now();
    const timer = setInterval(() => {
      if (performance.now() - heardMs >= SILENCE_MS) broken.abort();
    }, SILENCE_MS / 5);
    this.offsetMs = Number.NEGATIVE_INFINITY;
    try {
      for await (const data of this.api.events('/v1/fleet/events', { signal })) {
        heardMs = performance.now();
        this.take(readFeedMessage(data));
      }
    } finally {
      clearInterval(timer);
    }
  }

  private take(message: FeedMessage): void {
    if ('at' in message) this.offsetMs = Math.max(this.offsetMs, message.at - performance.now());
    this.heardMs = Date.now();
    this.status.set(this.status.value.state === 'live' ? this.status.value : { state: 'live' });
    this.model.update((model) => reduce(model, message));
  }
}
