import type { Clock, Timer } from '../../src/clock.js';
import type { StoreRoom } from './store-probe.js';

/** Restarts a nats-server whose store has stopped, once its disk has room again. A new server has a new folder. */

const LOOK_INTERVAL_MS = 5_000;
/** Looks in a row that must find the store stopped: on a machine that is overloaded it may be late once. */
const LOOKS = 3;

export interface StoreWatchOptions {
  readonly clock: Clock;
  /** Why the store does not work; null if it does, or if the server cannot be reached at all. `doubtful`: reads prove little. */
  readonly fault: (doubtful: boolean) => Promise<string | null>;
  readonly room: () => Promise<StoreRoom>;
  /** The server's folder, for messages. */
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
    const { fault, room, restart, onNotice, dir } = this.options;
    const found = await room();
    this.stopped = (await fault(found !== 'room')) === null ? 0 : this.stopped + 1;
    if (this.stopped === 0) this.told = false;
    if (this.stopped < LOOKS || this.timer === null) return;
    if (found === 'full') {
      if (!this.told)
        onNotice(`the disk of ${dir} is full, so pins and purges are refused; free space there, and it is restarted`);
      this.told = true;
      return;
    }
    this.stop();
    const cause = found === 'gone' ? `because ${dir} was removed` : 'as after its disk was full';
    onNotice(`its store has stopped, ${cause}; restarting it`);
    restart();
  }
}
