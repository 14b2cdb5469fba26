import type { FeedMessage } from '../../src/console/feed-messages.js';

/** The messages that wait for one page of the console. */

/** Limit on the messages that wait for a page. A page that falls further behind is disconnected, and starts over. @internal exported for tests. */
export const FEED_BACKLOG = 256;

/** A bounded queue with one reader, who gets all that waits at once: a page costs one write for each look at the fleet. */
export class FeedClient implements AsyncIterable<readonly FeedMessage[]> {
  private waiting: FeedMessage[] = [];
  private ended = false;
  private wake: (() => void) | null = null;

  /** @param tenant null for a page that may read the requests of all tenants */
  constructor(
    readonly tenant: string | null,
    private readonly onEnd: () => void,
  ) {}

  mayRead(tenant: string | null): boolean {
    return this.tenant === null || this.tenant === tenant;
  }

  push(message: FeedMessage): void {
    if (this.ended) return;
    this.waiting.push(message);
    if (this.waiting.length > FEED_BACKLOG) this.end();
    this.wake?.();
  }

  /** No more messages. Idempotent. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.waiting = [];
    this.onEnd();
    this.wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly FeedMessage[], void> {
    try {
      for (;;) {
        const { waiting } = this;
        this.waiting = [];
        if (waiting.length > 0) yield waiting;
        else if (this.ended) return;
        else await this.more();
      }
    } finally {
      this.end();
    }
  }

  private async more(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.wake = resolve;
    });
    this.wake = null;
  }
}
