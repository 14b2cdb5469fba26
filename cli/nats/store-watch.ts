import type { Clock, Timer } from '../../src/clock.js';

/** Restarts a nats-server whose store has stopped, once its disk has room again. */

const LOOK_INTERVAL_MS = 5_000;
/** Looks in a row that must find the store stopped: on a machine that is overloaded it may be late once. */
const LOOKS = 3;

export interface StoreWatchOptions {
  readonly clock: Clock;
  /** Why the store does not work; null if it does, or if the server cannot be reached at all. `full`: its disk has no room. */
  readonly fault: (full: boolean) => Promise<string | null>;
  /** Whether the disk of the store has room. */
  readonly hasRoom: () => Promise<boolean>;
  /** The server's folder, for people. */
  readonly dir: string;
  readonly restart: () => void;
  /** Called with one line when the watch finds something that people should know. */
  readonly onNotice: (line: string) => void;
}

export class StoreWatch {
  private timer: Timer | null = null;
  private looking = false;
  private stopped = 0;
  private told = false;

  constructor(private readonly options: StoreWatchOptions) {}

  start(): void {
    this.timer = this.options.clock.every(LOOK_INTERVAL_MS, () => void this.look());
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = null;
  }

  private async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    try {
      await this.judge();
    } finally {
      this.looking = false;
    }
  }

  private async judge(): Promise<void> {
    const { fault, hasRoom, restart, onNotice, dir } = this.options;
    const roomy = await hasRoom();
    this.stopped = (await fault(!roomy)) === null ? 0 : this.stopped + 1;
    if (this.stopped === 0) this.told = false;
    if (this.stopped < LOOKS || this.timer === null) return;
    if (!roomy) {
      if (!this.told)
        onNotice(`the disk of ${dir} is full, so pins and purges are refused; free space there, and it is restarted`);
      this.told = true;
      return;
    }
    this.stop();
    onNotice('its store has stopped, as after its disk was full; restarting it');
    restart();
  }
}
