import type { Clock, Timer } from '../../src/clock.js';
import { readRegularFile } from '../../src/regular-file.js';

/** How often a file is looked at. A change is noticed by polling, because mounted files change by way of links, which raise no event. @internal exported for tests. */
export const WATCH_INTERVAL_MS = 2_000;
/** A larger file is not read. */
const WATCHED_FILE_BYTES = 2 ** 20;

interface WatchedFileOptions {
  readonly path: string;
  readonly clock: Clock;
  /** The file has other content than before. An error that it throws goes to `onFault`. */
  onChange(text: string): void;
  /** The file cannot be read, or its new content cannot be used. Called once for each content, and once for each row of failures with one reason. */
  onFault(error: unknown): void;
}

/** Calls `onChange` whenever the content of a file changes. */
export class WatchedFile {
  private timer: Timer | null = null;
  private looking: Promise<string | null> | null = null;
  /** Why the last look failed, or why its content cannot be used; null if neither. */
  private fault: string | null = null;
  /** Why the content cannot be used; null if it can. */
  private wrong: string | null = null;

  /** @param content the content that is already in use */
  constructor(
    private readonly options: WatchedFileOptions,
    private content: string,
  ) {}

  start(): void {
    this.timer = this.options.clock.every(WATCH_INTERVAL_MS, () => void this.look());
  }

  stop(): void {
    this.timer?.cancel();
  }

  /** Looks at the file now. Resolves with the reason why its content is not in use; null if it is. */
  look(): Promise<string | null> {
    this.looking ??= this.read().finally(() => {
      this.looking = null;
    });
    return this.looking;
  }

  private async read(): Promise<string | null> {
    try {
      this.take(await readRegularFile(this.options.path, WATCHED_FILE_BYTES));
    } catch (error) {
      const fault = error instanceof Error ? error.message : String(error);
      if (fault !== this.fault) this.options.onFault(error);
      this.fault = fault;
    }
    return this.fault;
  }

  private take(text: string): void {
    if (text === this.content) {
      this.fault = this.wrong;
      return;
    }
    this.content = text;
    this.fault = null;
    this.wrong = null;
    try {
      this.options.onChange(text);
    } catch (error) {
      this.wrong = error instanceof Error ? error.message : String(error);
      throw error;
    }
  }
}
