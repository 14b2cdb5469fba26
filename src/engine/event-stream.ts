import { EVENT_TOKENS } from '../limits.js';
import type { GenerateEvent } from '../protocol/generate.js';

/**
 * The stream of one sequence's events, from the engine, which never waits, to the one reader. Unread tokens are merged into events of at
 * most `EVENT_TOKENS` tokens, so the number of buffered events is bounded by the tokens of the sequence.
 */
export class EventStream implements AsyncIterableIterator<GenerateEvent> {
  private readonly events: GenerateEvent[] = [];
  private readonly onReturn: () => void;
  private end: { error: Error | null } | null = null;
  private reader: Reader | null = null;

  /** @param onReturn called when the reader stops before the end */
  constructor(onReturn: () => void) {
    this.onReturn = onReturn;
  }

  push(event: GenerateEvent): void {
    if (this.end !== null) return;
    if (this.reader !== null) {
      this.takeReader()!.resolve({ value: event, done: false });
      return;
    }
    const last = this.events.at(-1);
    if (event.type === 'tokens' && last?.type === 'tokens' && last.ids.length + event.ids.length <= EVENT_TOKENS) {
      last.ids.push(...event.ids);
      if (event.logprobs !== undefined) last.logprobs?.push(...event.logprobs);
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

interface Reader {
  resolve(result: IteratorResult<GenerateEvent>): void;
  reject(error: Error): void;
}
