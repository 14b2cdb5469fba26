import type { Clock, Timer } from './clock.js';
import type { Log, LogFields, LogLevel } from './log.js';

/** Time from one line of a kind to the next. @internal exported for tests. */
export const PACE_MS = 30_000;
/** Limit on the kinds tracked at a time. @internal exported for tests. */
export const PACED_KINDS = 64;
/** Fields that name the subject of a line. An error counts by its message. */
const ABOUT = ['peer', 'worker', 'maker', 'pin', 'method', 'reason', 'err'];

type Level = Exclude<LogLevel, 'silent'>;

/** A line that was written, and the lines of its kind since. */
interface Kind {
  /** Until then no other line of the kind is written. */
  readonly untilMs: number;
  /** The last line since, and when it will be written; null if there was none. */
  waiting: { fields: LogFields; repeats: number; readonly timer: Timer } | null;
}

/**
 * A log for lines that can repeat with traffic or with time. The first line of a kind is written at once. Of the later lines, the last one is
 * written every 30 s, with their number in the field `repeats`, so that the log ends with the latest state. Lines of one kind have the same level
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
    const shared = `${level} ${message}`;
    const named = shared + about(fields);
    if (!this.kinds.has(named) && this.kinds.size >= PACED_KINDS) this.forgetOld();
    // Kinds beyond the limit share one of their message.
    const name = this.kinds.has(named) || this.kinds.size < PACED_KINDS ? named : shared;
    const nowMs = this.clock.now();
    const kind = this.kinds.get(name);
    if (kind === undefined || (kind.waiting === null && nowMs >= kind.untilMs)) {
      this.kinds.set(name, { untilMs: nowMs + PACE_MS, waiting: null });
      this.inner[level](fields, message);
      return;
    }
    kind.waiting ??= {
      fields,
      repeats: 0,
      timer: this.clock.every(kind.untilMs - nowMs, () => this.goOn(name, level, message)),
    };
    kind.waiting.fields = fields;
    kind.waiting.repeats++;
  }

  private goOn(name: string, level: Level, message: string): void {
    const { fields, repeats, timer } = this.kinds.get(name)!.waiting!;
    timer.cancel();
    this.kinds.set(name, { untilMs: this.clock.now() + PACE_MS, waiting: null });
    this.inner[level]({ ...fields, repeats }, message);
  }

  private forgetOld(): void {
    const nowMs = this.clock.now();
    for (const [name, { untilMs, waiting }] of this.kinds)
      if (waiting === null && nowMs >= untilMs) this.kinds.delete(name);
  }
}

/** What a line is about. It costs little for nothing: a flood of messages makes a line of each. */
function about(fields: LogFields): string {
  let text = '';
  for (const name of ABOUT) {
    const value = fields[name];
    if (value === undefined) continue;
    text += `\n${name} ${JSON.stringify(value instanceof Error ? value.message : value)}`;
  }
  return text;
}
