import type { Clock, Timer } from './clock.js';
import type { Log, LogFields, LogLevel } from './log.js';

/** Time from one line of a kind to the next. @internal exported for tests. */
export const PACE_MS = 30_000;
/** Kinds that are told apart at a time. @internal exported for tests. */
export const PACED_KINDS = 64;
/** Fields that name what a line is about. Of an error its message counts. */
const ABOUT = ['peer', 'worker', 'maker', 'pin', 'method', 'reason', 'err'];

type Level = Exclude<LogLevel, 'silent'>;

/** A line that was written, and what came of its kind since. */
interface Kind {
  readonly timer: Timer;
  /** The last line since, which is not written yet; null if there was none. */
  last: LogFields | null;
  repeats: number;
}

/**
 * A log for lines that can repeat with traffic or with time. The first line of a kind is written at once. Of those that follow, the last one is
 * written every 30 s, with their number in the field `repeats`, so that the log ends with what was true last. Lines of one kind have the same level
 * and message, and are about the same peer, worker, maker, pin, method, reason and error. Lines at level debug are not limited.
 */
export class PacedLog implements Log {
  private readonly kinds = new Map<string, Kind>();

  constructor(
    private readonly inner: Log,
    private readonly clock: Clock,
  ) {}

  debug(fields: LogFields, message: string): void {
    this.inner.debug(fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.write('info', fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.write('warn', fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.write('error', fields, message);
  }

  child(fields: LogFields): Log {
    return new PacedLog(this.inner.child(fields), this.clock);
  }

  private write(level: Level, fields: LogFields, message: string): void {
    const named = JSON.stringify([level, message, ...ABOUT.map((name) => valueIn(fields[name]))]);
    // Kinds beyond the limit share one of their message.
    const name = this.kinds.has(named) || this.kinds.size < PACED_KINDS ? named : JSON.stringify([level, message]);
    const kind = this.kinds.get(name);
    if (kind !== undefined) {
      kind.last = fields;
      kind.repeats++;
      return;
    }
    const timer = this.clock.every(PACE_MS, () => this.goOn(name, level, message));
    this.kinds.set(name, { timer, last: null, repeats: 0 });
    this.inner[level](fields, message);
  }

  private goOn(name: string, level: Level, message: string): void {
    const kind = this.kinds.get(name)!;
    if (kind.last === null) {
      kind.timer.cancel();
      this.kinds.delete(name);
      return;
    }
    this.inner[level]({ ...kind.last, repeats: kind.repeats }, message);
    kind.last = null;
    kind.repeats = 0;
  }
}

function valueIn(field: unknown): unknown {
  return field instanceof Error ? field.message : field;
}
