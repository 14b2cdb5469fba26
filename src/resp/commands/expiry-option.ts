import { type Expiry, LATEST_EXPIRY_MS } from '../../objects/object.js';
import { integerOf, RespFault } from '../command.js';
import type { RespArg } from '../resp-reader.js';

/** The ways to say when an object expires. */

export type ExpiryUnit = 'EX' | 'PX' | 'EXAT' | 'PXAT';

export function isExpiryUnit(word: string): word is ExpiryUnit {
  return word === 'EX' || word === 'PX' || word === 'EXAT' || word === 'PXAT';
}

/** The time of an expiry that a command sets, which must be a positive number. @throws RespFault */
export function expiryAfter(unit: ExpiryUnit, arg: RespArg | undefined, nowMs: number, command: string): Expiry {
  const number = integerOf(arg);
  const atMs = timeOf(unit, number, nowMs);
  if (number <= 0 || atMs > LATEST_EXPIRY_MS) throw new RespFault(`ERR invalid expire time in '${command}' command`);
  return { kind: 'at', atMs };
}

/** Milliseconds since 1970; may be in the past. */
export function timeOf(unit: ExpiryUnit, number: number, nowMs: number): number {
  switch (unit) {
    case 'EX':
      return Math.floor(nowMs) + number * 1_000;
    case 'PX':
      return Math.floor(nowMs) + number;
    case 'EXAT':
      return number * 1_000;
    case 'PXAT':
      return number;
  }
}
