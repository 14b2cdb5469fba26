import { EVENT_TOKENS } from '../limits.js';
import type { GenerateEvent } from '../protocol/generate.js';

/**
 * Events of one sequence, between the engine, which never waits for a reader, and its one reader. Tokens that the reader has not fetched yet are
 * put together into events of at most `EVENT_TOKENS`, so that what is kept is bounded by the tokens of the sequence.
 */
export class EventStream implements AsyncIterableIterator<GenerateEvent> {
  private readonly events: GenerateEvent[] = [];
  private readonly onReturn: () => void;
  private end: { error: Error | null } | null = null;
  private reader: Reader | null = null;

  /** `onReturn` is called when the reader leaves before the end. */
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

  /** Nothing follows. What was pushed before is still read. */
  close(): void {
    this.finish(null);
  }

  /** The reader gets the error after what was pushed before. */
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
