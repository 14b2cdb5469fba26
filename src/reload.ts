import type { LogLevel } from './log.js';

/** The options that a running role reloads at SIGHUP. */

export interface ReloadedOptions {
  readonly logLevel: LogLevel;
  /** Share of the traces that begin here which are recorded, 0 to 1. */
  readonly traceRatio: number;
}

type Take = (options: ReloadedOptions) => void | Promise<void>;

/** The parts of a role that reload options. */
export class Reloads {
  private readonly takers: Take[] = [];

  on(take: Take): void {
    this.takers.push(take);
  }

  /** Resolves when each part has taken its options, and has read its files. */
  async run(options: ReloadedOptions): Promise<void> {
    await Promise.all(this.takers.map((take) => take(options)));
  }
}
