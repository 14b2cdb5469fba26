import { EVENT_TOKENS } from '../limits.js';
import type { GenerateEvent } from '../protocol/generate.js';

/**
 * The stream of one sequence's events, from the engine, which never waits, to the one reader. Unread tokens are merged into events of at
 * most `EVENT_TOKENS` tokens, so the number of buffered events is bounded by the tokens of the sequence.
 */
export class EventStream implements AsyncIterableIterator<GenerateEvent> {
  private readonly events: GenerateEvent[] = [];
  private end: { error: Error | null } | null = null;
  private reader: Reader | null = null;
  /** Tokens of a burst that is not full yet. */
  private held: TokensEvent | null = null;
  private sentTokens = false;

  /**
   * @param onReturn called when the reader stops before the end
   * @param burstTokens tokens after the first one that are held back until there are so many, or another event follows
   */
  constructor(
    private readonly onReturn: () => void,
    private readonly burstTokens = 1,
  ) {}

  push(event: GenerateEvent): void {
    if (this.end !== null) return;
    if (event.type !== 'tokens' || this.burstTokens === 1 || !this.sentTokens) {
      this.sentTokens ||= event.type === 'tokens';
      this.flush();
      this.send(event);
      return;
    }
    if (this.held === null) this.held = event;
    else append(this.held, event);
    if (this.held.ids.length >= this.burstTokens) this.flush();
  }

  private flush(): void {
    const { held } = this;
    this.held = null;
    if (held !== null) this.send(held);
  }

  private send(event: GenerateEvent): void {
    if (this.reader !== null) {
      this.takeReader()!.resolve({ value: event, done: false });
      return;
    }
    const last = this.events.at(-1);
    if (event.type === 'tokens' && last?.type === 'tokens' && last.ids.length + event.ids.length <= EVENT_TOKENS) {
      append(last, event);
    } else {
      this.events.push(event);
    }
  }

  /** Ends the stream after the events pushed so far. */
  close(): void {
    this.finish(null);
  }

  /** Fails the stream after the events pushed so far. */
  fail(error: Error): void {
    this.finish(error);
  }

  next(): Promise<IteratorResult<GenerateEvent>> {
    const event = this.events.shift();
    if (event !== undefined) return Promise.resolve({ value: event, done: false });
    if (this.end === null) {
      return new Promise((resolve, reject) => {
        this.reader = { resolve, reject };
      });
    }
    const { error } = this.end;
    this.end = { error: null };
    return error === null ? Promise.resolve({ value: undefined, done: true }) : Promise.reject(error);
  }

  return(): Promise<IteratorResult<GenerateEvent>> {
    this.events.length = 0;
    this.held = null;
    const early = this.end === null;
    this.finish(null);
    this.end = { error: null };
    if (early) this.onReturn();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  private finish(error: Error | null): void {
    if (this.end !== null) return;
    this.flush();
    const reader = this.takeReader();
    this.end = { error: reader === null ? error : null };
    if (error === null) reader?.resolve({ value: undefined, done: true });
    else reader?.reject(error);
  }

  private takeReader(): Reader | null {
    const reader = this.reader;
    this.reader = null;
    return reader;
  }
}

type TokensEvent = Extract<GenerateEvent, { type: 'tokens' }>;

function append(to: TokensEvent, { ids, logprobs }: TokensEvent): void {
  to.ids.push(...ids);
  if (logprobs !== undefined) to.logprobs?.push(...logprobs);
}

interface Reader {
  resolve(result: IteratorResult<GenerateEvent>): void;
  reject(error: Error): void;
}
