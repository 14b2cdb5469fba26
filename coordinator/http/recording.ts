import { orAbort } from '../../src/async/abort.js';

/** The callbacks from a recording to its owner. */
export interface RecordingOwner {
  /** An event of this many bytes was added. */
  grew(bytes: number): void;
  /** The last event was added, or the source failed. */
  ended(ok: boolean): void;
}

interface Reader {
  /** Index of the next event. */
  at: number;
}

/** How far, in bytes, a reader may be ahead of the slowest one once the recording no longer keeps its start. */
const READ_AHEAD_BYTES = 1024 * 1024;

/**
 * The events of one answer, as JSON texts, recorded so that each of several readers gets them from the start. The source is pulled when the foremost
 * reader has room for another event. After `forgetStart` no reader may be added, and events that every reader has read are dropped.
 */
export class Recording {
  private readonly texts: string[] = [];
  /** Index of `texts[0]`. */
  private first = 0;
  private keptBytes = 0;
  private keepsStart = true;
  private readonly readers = new Set<Reader>();
  private pulling: Promise<void> | null = null;
  private end: { readonly error: unknown } | 'complete' | null = null;
  private waiting: (() => void)[] = [];
  private readonly source: AsyncIterator<object | string>;

  constructor(
    source: AsyncIterable<object | string>,
    private readonly owner: RecordingOwner,
  ) {
    this.source = source[Symbol.asyncIterator]();
  }

  /** All events from the first one. Rejects with the signal's reason if it aborts, and with the source's error where the source failed. */
  async *read(signal: AbortSignal): AsyncGenerator<string, void> {
    const reader = { at: 0 };
    this.readers.add(reader);
    try {
      for (;;) {
        while (reader.at >= this.first + this.texts.length) {
          if (this.end === 'complete') return;
          if (this.end !== null) throw this.end.error;
          await orAbort(this.mayPull(reader) ? this.pull() : this.readerAdvanced(), signal);
        }
        const text = this.texts[reader.at - this.first]!;
        reader.at++;
        this.advanced();
        yield text;
      }
    } finally {
      this.readers.delete(reader);
      this.advanced();
    }
  }

  /** Keeps only events that a present reader has not read yet. */
  forgetStart(): void {
    this.keepsStart = false;
    this.advanced();
  }

  /** Ends the source. */
  async close(): Promise<void> {
    await this.source.return?.();
  }

  private mayPull({ at }: Reader): boolean {
    return this.keepsStart || this.keptBytes <= READ_AHEAD_BYTES || this.slowest() >= at;
  }

  private pull(): Promise<void> {
    this.pulling ??= this.take().finally(() => {
      this.pulling = null;
    });
    return this.pulling;
  }

  private async take(): Promise<void> {
    try {
      const next = await this.source.next();
      if (next.done) {
        this.end = 'complete';
        this.owner.ended(true);
        return;
      }
      const text = typeof next.value === 'string' ? next.value : JSON.stringify(next.value);
      this.texts.push(text);
      this.keptBytes += Buffer.byteLength(text);
      this.owner.grew(Buffer.byteLength(text));
    } catch (error) {
      this.end = { error };
      this.owner.ended(false);
    }
  }

  private readerAdvanced(): Promise<void> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  private advanced(): void {
    if (this.keepsStart) return;
    const read = Math.min(this.slowest() - this.first, this.texts.length);
    for (const text of this.texts.splice(0, read)) this.keptBytes -= Buffer.byteLength(text);
    this.first += read;
    for (const wake of this.waiting.splice(0)) wake();
  }

  private slowest(): number {
    return Math.min(this.first + this.texts.length, ...[...this.readers].map(({ at }) => at));
  }
}
