import type { LogLevel } from './log.js';

/** The options that a running role reloads at SIGHUP. */

export interface ReloadedOptions {
  readonly logLevel: LogLevel;
  /** Share of the traces that begin here which are recorded, 0 to 1. */
  readonly traceRatio: number;
}

type Take = (options: ReloadedOptions) => void;
/** Reads files. Resolves with the reason why their content stays as it was; null if it does not. */
type Read = () => Promise<string | null>;

/** The parts of a role that reload options or files. */
export class Reloads {
  private readonly takers: Take[] = [];
  private readonly readers: Read[] = [];

  on(take: Take): void {
    this.takers.push(take);
  }

  onFiles(read: Read): void {
    this.readers.push(read);
  }

  /** Resolves when each part has taken its options, and has read its files, with the faults of files whose content stays as it was. */
  async run(options: ReloadedOptions): Promise<readonly string[]> {
    for (const take of this.takers) take(options);
    const faults = await Promise.all(this.readers.map((read) => read()));
    return faults.filter((fault) => fault !== null);
  }
}
