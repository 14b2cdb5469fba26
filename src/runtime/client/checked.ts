import { InvalidRequest } from '../../errors.js';

/** Checks of what programs pass, so that a wrong value is an error at once and not a call that hangs. All throw InvalidRequest. */

/** A whole number, or the default if it is not given. */
export function count(field: string, value: number | undefined, preset: number, min: number, max: number): number {
  const number = value ?? preset;
  if (Number.isSafeInteger(number) && number >= min && number <= max) return number;
  throw new InvalidRequest(`${field}: must be a whole number from ${min} to ${max}, got ${shown(number)}`, field);
}

/** A number that is at least `min`, or the default if it is not given. */
export function amount(field: string, value: number | undefined, preset: number, min = 0): number {
  const number = value ?? preset;
  if (typeof number === 'number' && number >= min) return number;
  throw new InvalidRequest(`${field}: must be a number from ${min}, got ${shown(number)}`, field);
}

/** A time limit in milliseconds; 0 is over at once. */
export function timeLimit(value: number | undefined): number | undefined {
  return value === undefined ? undefined : amount('timeoutMs', value, 0);
}

/** One of some words, or the default if it is not given. */
export function oneOf<T extends string>(field: string, value: T | undefined, preset: T, words: readonly T[]): T {
  const word = value ?? preset;
  if (words.includes(word)) return word;
  throw new InvalidRequest(`${field}: must be one of ${words.join(', ')}, got ${shown(word)}`, field);
}

export function text(field: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new InvalidRequest(`${field}: must be a string that is not empty, got ${shown(value)}`, field);
}

export function list<T>(field: string, value: readonly T[]): readonly T[] {
  if (Array.isArray(value)) return value;
  throw new InvalidRequest(`${field}: must be an array, got ${shown(value)}`, field);
}

export function abortSignal(value: AbortSignal | undefined): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value;
  throw new InvalidRequest(`signal: must be an AbortSignal, got ${shown(value)}`, 'signal');
}

/** A wrong value in a message. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 64));
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}
