import type { Clock, Timer } from './clock.js';
import type { Log, LogFields, LogLevel } from './log.js';

/** Time from one line of a kind to the next. @internal exported for tests. */
export const PACE_MS = 30_000;
/** Limit on the kinds tracked at a time. @internal exported for tests. */
export const PACED_KINDS = 64;
/** Fields that name the subject of a line. */
const SUBJECT = ['peer', 'worker', 'maker', 'pin'];
/** Fields that tell lines of one message and subject apart. An error counts by its message. */
const ABOUT = [...SUBJECT, 'method', 'reason', 'err'];
/** Lines of a state that are written at once within the pace: a short outage shows its beginning and its end. */
const STATES_AT_ONCE = 2;

type Level = Exclude<LogLevel, 'silent'>;

interface Line {
  readonly level: Level;
  readonly fields: LogFields;
  readonly message: string;
}

/** The last line of a kind that was written, and the lines of the kind since. */
interface Kind {
  readonly written: Line;
  /** Lines written at once since the pace began. */
  readonly atOnce: number;
  /** When the pace ends. */
  readonly untilMs: number;
  /** The last line since, when it came, and when it will be written; null if there was none. */
  waiting: { line: Line; sinceMs: number; repeats: number; readonly timer: Timer } | null;
}

/**
 * A log for lines that can repeat with traffic or with time. The first line of a kind is written at once. Of the later lines, the last one is
 * written every 30 s, with their number in the field `repeats` and its age in `agoMs`. Lines of one kind have the same level and message, and are
 * about the same peer, worker, maker, pin, method, reason and error. Lines that tell the state of something are one kind whatever they say: `state`.
 * Lines at level debug are not limited.
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
    this.write({ level: 'info', fields, message });
  }

  warn(fields: LogFields, message: string): void {
    this.write({ level: 'warn', fields, message });
  }

  error(fields: LogFields, message: string): void {
    this.write({ level: 'error', fields, message });
  }

  /**
   * A line that tells the state of something until the next one: of NATS, of a disk, of the peer, worker, maker or pin in the fields. The line is
   * written at once if the state changes for the first time in 30 s, or changes back. Of later lines the last one is written, so that the log
   * ends with the latest state. Lines of one state should have one level: at a higher level the log would end with a state that is over.
   */
  state(name: string, level: Level, fields: LogFields, message: string): void {
    const kind = `state ${name}`;
    this.pace({ level, fields, message }, kind, kind + about(fields, SUBJECT), STATES_AT_ONCE);
  }

  child(fields: LogFields): Log {
    return new PacedLog(this.inner.child(fields), this.clock);
  }

  private write(line: Line): void {
    const shared = `${line.level} ${line.message}`;
    this.pace(line, shared, shared + about(line.fields, ABOUT), 1);
  }

  /** Writes the line now or later. Kinds beyond the limit share the kind `shared`. */
  private pace(line: Line, shared: string, named: string, mostAtOnce: number): void {
    if (!this.kinds.has(named) && this.kinds.size >= PACED_KINDS) this.forgetOld();
    const name = this.kinds.has(named) || this.kinds.size < PACED_KINDS ? named : shared;
    const nowMs = this.clock.now();
    const kind = this.kinds.get(name);
    if (kind === undefined || (kind.waiting === null && nowMs >= kind.untilMs)) {
      this.kinds.set(name, { written: line, atOnce: 1, untilMs: nowMs + PACE_MS, waiting: null });
      this.inner[line.level](line.fields, line.message);
      return;
    }
    if (kind.atOnce < mostAtOnce && line.message !== kind.written.message) {
      // What waits says again what the last line said, and is over.
      kind.waiting?.timer.cancel();
      this.kinds.set(name, { ...kind, written: line, atOnce: kind.atOnce + 1, waiting: null });
      this.inner[line.level](line.fields, line.message);
      return;
    }
    kind.waiting ??= {
      line,
      sinceMs: nowMs,
      repeats: 0,
      timer: this.clock.every(kind.untilMs - nowMs, () => this.goOn(name)),
    };
    kind.waiting.line = line;
    kind.waiting.sinceMs = nowMs;
    kind.waiting.repeats++;
  }

  private goOn(name: string): void {
    const { line, sinceMs, repeats, timer } = this.kinds.get(name)!.waiting!;
    timer.cancel();
    const nowMs = this.clock.now();
    this.kinds.set(name, { written: line, atOnce: 1, untilMs: nowMs + PACE_MS, waiting: null });
    this.inner[line.level]({ ...line.fields, repeats, agoMs: Math.round(nowMs - sinceMs) }, line.message);
  }

  private forgetOld(): void {
    const nowMs = this.clock.now();
    for (const [name, { untilMs, waiting }] of this.kinds)
      if (waiting === null && nowMs >= untilMs) this.kinds.delete(name);
  }
}

/** What a line is about. It costs little for nothing: a flood of messages makes a line of each. */
function about(fields: LogFields, names: readonly string[]): string {
  let text = '';
  for (const name of names) {
    const value = fields[name];
    if (value === undefined) continue;
    text += `\n${name} ${JSON.stringify(value instanceof Error ? value.message : value)}`;
  }
  return text;
}
