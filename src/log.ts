import { pino } from 'pino';

/** Logs JSON lines to stderr, without secrets; the only file that imports pino. */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';
/** From the most lines to none. */
const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** A log that adds these fields to each line. */
  child(fields: LogFields): Log;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** Fields of every line, such as the role and the name of the process. */
  readonly fields?: LogFields;
  /** Receives the lines. Default: writes them to stderr. */
  readonly write?: (line: string) => void;
  /**
   * Writes the lines of one turn of the event loop at once, at its end. For a process with many lines, which no native code ends in mid-turn.
   * Default: each line at once, so that the last lines before a crash are not lost.
   */
  readonly gathered?: boolean;
}

/** Fields whose values must never appear in logs: users' texts, models' answers, and secrets. */
const SECRET_FIELDS = [
  ...['prompt', 'prompts', 'messages', 'content', 'text', 'tokens', 'ids', 'body', 'salt', 'cacheSalt', 'user'],
  ...['secret', 'password', 'pass', 'authorization', 'apiKey', 'apiKeys', 'headers', 'env'],
];

/** A log whose level can change; all its children follow. */
export class AdjustableLog implements Log {
  /** @param gate shared with its children */
  private constructor(
    private readonly inner: Log,
    private readonly gate: { level: LogLevel },
  ) {}

  /** As `createLog`, which makes the lines. */
  static create(options: LogOptions): AdjustableLog {
    return new AdjustableLog(createLog({ ...options, level: 'debug' }), { level: options.level });
  }

  set level(level: LogLevel) {
    this.gate.level = level;
  }

  debug(fields: LogFields, message: string): void {
    if (this.passes('debug')) this.inner.debug(fields, message);
  }

  info(fields: LogFields, message: string): void {
    if (this.passes('info')) this.inner.info(fields, message);
  }

  warn(fields: LogFields, message: string): void {
    if (this.passes('warn')) this.inner.warn(fields, message);
  }

  error(fields: LogFields, message: string): void {
    if (this.passes('error')) this.inner.error(fields, message);
  }

  child(fields: LogFields): Log {
    return new AdjustableLog(this.inner.child(fields), this.gate);
  }

  private passes(level: LogLevel): boolean {
    return LEVELS.indexOf(level) >= LEVELS.indexOf(this.gate.level);
  }
}

/** Creates a log. Errors belong in the field `err`. Values of secret fields and credentials in URLs are redacted. */
export function createLog({ level, fields = {}, write, gathered = false }: LogOptions): Log {
  const options = {
    level,
    base: { ...fields },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]), censor: '[redacted]' },
    serializers: { url: withoutCredentials, nats: withoutCredentials, servers: withoutCredentials },
  };
  if (write) return pino(options, { write });
  const stderr = pino.destination({ dest: 2, sync: true });
  return pino(options, gathered ? gatheredIn(stderr) : stderr);
}

/** Gathers lines until the end of the turn, or of the process. */
function gatheredIn(stderr: { write(lines: string): unknown }): { write(line: string): void } {
  let lines = '';
  const flush = () => {
    if (lines !== '') stderr.write(lines);
    lines = '';
  };
  process.on('exit', flush);
  return {
    write: (line) => {
      if (lines === '') setImmediate(flush);
      lines += line;
    },
  };
}

/** A log without output, for tests and embedding. */
export const SILENT_LOG: Log = createLog({ level: 'silent', write: () => {} });

function withoutCredentials(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutCredentials);
  return typeof value === 'string' ? value.replace(/\/\/[^/@\s]*@/g, '//[redacted]@') : value;
}
