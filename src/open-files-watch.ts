import { closeSync, openSync } from 'node:fs';
import type { Clock, Timer } from './clock.js';
import type { Log } from './log.js';
import { PacedLog } from './paced-log.js';

/** How often one more file is opened. */
const LOOK_INTERVAL_MS = 5_000;
const ANY_FILE = '/dev/null';

/**
 * Says when this process can open no more files. Node does not: for lack of file descriptors it closes each new connection without a word to its
 * server. At the start of a process its servers count on the limit of that time (`open-files`), which can be lowered later, and all processes of the
 * machine share another one.
 */
export class OpenFilesWatch {
  private readonly log: PacedLog;
  private timer: Timer | null = null;
  private none = false;

  constructor(
    private readonly clock: Clock,
    log: Log,
    private readonly openOne = () => closeSync(openSync(ANY_FILE, 'r')),
  ) {
    this.log = new PacedLog(log, clock);
  }

  start(): void {
    this.timer = this.clock.every(LOOK_INTERVAL_MS, () => this.look());
  }

  stop(): void {
    this.timer?.cancel();
  }

  private look(): void {
    const fault = this.fault();
    if (fault !== null)
      this.log.state(
        'open files',
        'error',
        { reason: fault },
        'this process can open no more files: it refuses new connections; raise the limit on open files (ulimit -n)',
      );
    else if (this.none) this.log.state('open files', 'error', {}, 'this process can open files again');
    this.none = fault !== null;
  }

  /** The system's error if there is no file descriptor left; null otherwise. */
  private fault(): string | null {
    try {
      this.openOne();
      return null;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return code === 'EMFILE' || code === 'ENFILE' ? message : null;
    }
  }
}
