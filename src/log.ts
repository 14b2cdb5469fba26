import { pino } from 'pino';

/** The one place that knows pino. JSON lines, one an event, on stderr. */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';
type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** A log whose lines all carry these fields. */
  child(fields: LogFields): Log;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** On every line: the role and the name of the process. */
  readonly fields?: LogFields;
  /** Where lines go; stderr if not said. */
  readonly write?: (line: string) => void;
}

/** Fields whose values must never be read by whoever reads logs: what users write, what models answer, and secrets. */
const SECRET_FIELDS = [
  ...['prompt', 'prompts', 'messages', 'content', 'text', 'tokens', 'ids', 'body', 'salt', 'cacheSalt', 'user'],
  ...['secret', 'password', 'pass', 'authorization', 'apiKey', 'apiKeys', 'headers', 'env'],
];

/** Errors go under the field `err`. Values of secret fields are dropped, as is what a URL says of user and password. */
export function createLog({ level, fields = {}, write }: LogOptions): Log {
  const options = {
    level,
    base: { ...fields },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]), censor: '[redacted]' },
    serializers: { url: withoutCredentials, nats: withoutCredentials, servers: withoutCredentials },
  };
  // Synchronous: what a process says right before it dies is what matters most.
  return write ? pino(options, { write }) : pino(options, pino.destination({ dest: 2, sync: true }));
}

/** For tests and embedding: says nothing. @internal exported for tests. */
export const SILENT_LOG: Log = createLog({ level: 'silent', write: () => {} });

function withoutCredentials(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutCredentials);
  return typeof value === 'string' ? value.replace(/\/\/[^/@\s]*@/g, '//[redacted]@') : value;
}
