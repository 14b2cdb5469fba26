import { readFileSync } from 'node:fs';
import type { ChildExit } from './child.js';

/** Tells deliberately killed processes from crashed ones. */

/** Signals that people and programs send. Native code that crashes raises others, such as SIGSEGV, SIGFPE and SIGABRT. */
const SENT_SIGNALS: ReadonlySet<NodeJS.Signals> = new Set(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP']);

export class Killings {
  private seen: number | null;

  /** `oomKills` counts the processes that this machine killed for lack of memory, also by SIGKILL; null if it does not say. */
  constructor(private readonly oomKills: () => number | null = readOomKills) {
    this.seen = oomKills();
  }

  /** Whether the process was killed deliberately; false if that is not certain. Call it at the end of each process. */
  isKilling({ signal }: Pick<ChildExit, 'signal'>): boolean {
    const before = this.seen;
    this.seen = this.oomKills();
    if (signal === null || !SENT_SIGNALS.has(signal)) return false;
    return signal !== 'SIGKILL' || (before !== null && before === this.seen);
  }
}

/** The kernel's counter of processes that it killed for lack of memory; null where it has none. */
function readOomKills(): number | null {
  try {
    const count = /^oom_kill (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1];
    return count === undefined ? null : Number(count);
  } catch {
    return null;
  }
}
