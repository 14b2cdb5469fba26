import type { RespArg } from './resp-reader.js';
import type { RespSession } from './resp-session.js';

/** A command of the Redis protocol. */

/** An answer that Redis gives as an error; the text begins with its code. */
export class RespFault extends Error {}

export const SYNTAX_FAULT = 'ERR syntax error';

export interface RespCommand {
  /** In small letters. */
  readonly name: string;
  /** Arguments with the name; negative: at least so many. */
  readonly arity: number;
  readonly flags: readonly ('readonly' | 'write' | 'fast' | 'denyoom' | 'loading' | 'stale' | 'noscript' | 'no_auth')[];
  /** Whether the audit log has an entry for it: it changes more than the values that it names. */
  readonly audited?: boolean;
  /** Places of the keys: the first, the last (-1 is the last argument) and the step; zeros for no keys. */
  readonly keys: readonly [first: number, last: number, step: number];
  /**
   * Writes the reply, at once or when the promise resolves. `args` begins with the name of the command.
   * @throws RespFault, and the errors of `Objects`
   */
  run(session: RespSession, args: readonly RespArg[]): void | Promise<void>;
}

export const NO_KEYS = [0, 0, 0] as const;
export const ONE_KEY = [1, 1, 1] as const;
export const ALL_KEYS = [1, -1, 1] as const;

/** A whole number in decimal digits. @throws RespFault */
export function integerOf(arg: RespArg | undefined): number {
  const text = arg !== undefined && Buffer.isBuffer(arg) && arg.byteLength <= 20 ? arg.toString('latin1') : '';
  const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new RespFault('ERR value is not an integer or out of range');
  return value;
}
