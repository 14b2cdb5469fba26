import { InvalidRequest } from '../../errors.js';
import type { ProgramBuilder } from './program.js';
import { addRepeat } from './regex-states.js';

/** The states of JSON's numbers, within bounds. */

/** Digits before the point, and of numbers within bounds altogether: two numbers with so few digits are never the same double. */
const WHOLE_DIGITS = 15;
/** Digits after the point of numbers without bounds. */
const FRACTION_DIGITS = 16;
const EXPONENT_DIGITS = 2;

export interface NumberBound {
  readonly value: number;
  /** Whether the number must differ from it. */
  readonly exclusive: boolean;
}

export interface NumberRange {
  readonly low: NumberBound | null;
  readonly high: NumberBound | null;
  readonly integer: boolean;
}

/** @throws InvalidRequest, without the name of a field, for bounds that cannot be honoured */
export function addNumber(
  builder: ProgramBuilder,
  { low, high, integer }: NumberRange,
  from: number,
  to: number,
): void {
  if (!integer && low === null && high === null) {
    addAnyNumber(builder, from, to);
    return;
  }
  const least = within(integer ? wholeBound(low, 1) : low, 1);
  const most = within(integer ? wholeBound(high, -1) : high, -1);
  const negative = builder.state();
  builder.text(from, '-', negative);
  const zero = { value: 0, exclusive: false };
  const positiveLow = least === null || least.value < 0 ? zero : least;
  if (most === null || most.value >= 0) addMagnitude(builder, { low: positiveLow, high: most, integer }, from, to);
  // Integers have no -0.
  const nearZero = integer ? { value: 1, exclusive: false } : zero;
  const excludesZero = most?.value === 0 && most.exclusive;
  const negativeLow = most !== null && (most.value < 0 || excludesZero) ? opposite(most) : nearZero;
  if (least === null || least.value < 0)
    addMagnitude(builder, { low: negativeLow, high: least === null ? null : opposite(least), integer }, negative, to);
}

/** None for a bound that all numbers keep that are written here; `inwards` is 1 for a lower bound and -1 for an upper one. */
function within(bound: NumberBound | null, inwards: 1 | -1): NumberBound | null {
  return bound === null || inwards * bound.value <= -(10 ** WHOLE_DIGITS) ? null : bound;
}

function opposite({ value, exclusive }: NumberBound): NumberBound {
  return { value: -value, exclusive };
}

/** The bound for integers, which they may reach; `inwards` is 1 for a lower bound and -1 for an upper one. */
function wholeBound(bound: NumberBound | null, inwards: 1 | -1): NumberBound | null {
  if (bound === null) return null;
  const whole = inwards === 1 ? Math.ceil(bound.value) : Math.floor(bound.value);
  const value = bound.exclusive && whole === bound.value ? whole + inwards : whole;
  return { value: value === 0 ? 0 : value, exclusive: false };
}

function addAnyNumber(builder: ProgramBuilder, from: number, to: number): void {
  const [unsigned, whole, fraction] = [builder.state(), builder.state(), builder.state()];
  builder.epsilon(from, unsigned);
  builder.text(from, '-', unsigned);
  addWhole(builder, '0', null, unsigned, whole);
  addAnyFraction(builder, whole, fraction);
  builder.epsilon(fraction, to);
  const [exponent, sign] = [builder.state(), builder.state()];
  for (const letter of 'eE') builder.text(fraction, letter, exponent);
  for (const mark of ['', '+', '-']) builder.text(exponent, mark, sign);
  addDigits(builder, { min: 1, max: EXPONENT_DIGITS }, sign, to);
}

interface MagnitudeRange {
  readonly low: NumberBound;
  readonly high: NumberBound | null;
  readonly integer: boolean;
}

/** Numbers without a sign. */
function addMagnitude(builder: ProgramBuilder, { low, high, integer }: MagnitudeRange, from: number, to: number): void {
  const [lowWhole, lowFraction] = decimals(low.value);
  const [highWhole, highFraction] = high === null ? [null, ''] : decimals(high.value);
  if (integer) {
    addWhole(builder, lowWhole, highWhole, from, to);
    return;
  }
  const whole = (text: string) => {
    const state = builder.state();
    builder.text(from, text, state);
    return state;
  };
  const lowEnd = { digits: lowFraction, exclusive: low.exclusive };
  const highEnd = { digits: highFraction, exclusive: high?.exclusive ?? false };
  if (lowWhole === highWhole) {
    addFraction(builder, [lowEnd, highEnd], fractionDigits(lowWhole), whole(lowWhole), to);
    return;
  }
  if (highWhole !== null && BigInt(highWhole) < BigInt(lowWhole)) return;
  addFraction(builder, [lowEnd, null], fractionDigits(lowWhole), whole(lowWhole), to);
  if (highWhole !== null) addFraction(builder, [null, highEnd], fractionDigits(highWhole), whole(highWhole), to);
  addBetween(builder, shifted(lowWhole, 1n), highWhole === null ? null : shifted(highWhole, -1n), from, to);
}

/** Numbers with whole parts from `low` to `high`, and with any fractions. */
function addBetween(builder: ProgramBuilder, low: string, high: string | null, from: number, to: number): void {
  /** By the number of digits that may still follow in a fraction. */
  const digitsLeft: number[] = [to];
  for (let left = 1; left < WHOLE_DIGITS; left++) {
    const state = builder.state();
    builder.epsilon(state, to);
    builder.bytes(state, 0x30, 0x39, digitsLeft[left - 1]!);
    digitsLeft.push(state);
  }
  const end = (whole: string) => {
    const [ended, point] = [builder.state(), builder.state()];
    builder.epsilon(ended, to);
    const digits = fractionDigits(whole);
    if (digits === 0) return ended;
    builder.text(ended, '.', point);
    builder.bytes(point, 0x30, 0x39, digitsLeft[digits - 1]!);
    return ended;
  };
  addWholes(builder, low, high, from, end);
}

/** The digits that may follow a whole number after the point. */
function fractionDigits(whole: string): number {
  return WHOLE_DIGITS - (whole === '0' ? 0 : whole.length);
}

function shifted(whole: string, by: bigint): string {
  return (BigInt(whole) + by).toString();
}

/** The digits of a number before and after its point. */
function decimals(value: number): [whole: string, fraction: string] {
  const text = String(Math.abs(value));
  const [whole, fraction = ''] = text.split('.');
  if (/e/.test(text) || whole!.length > WHOLE_DIGITS)
    throw new InvalidRequest(`is ${value}; can be honoured from 1e-6 to below 1e${WHOLE_DIGITS}`);
  return [whole!, fraction];
}

/** Whole numbers from `low` to `high`, or with at most `WHOLE_DIGITS` digits if `high` is null. */
function addWhole(builder: ProgramBuilder, low: string, high: string | null, from: number, to: number): void {
  addWholes(builder, low, high, from, () => to);
}

/** The same, with one end for the numbers with as many digits as `most`. */
function addWholes(
  builder: ProgramBuilder,
  low: string,
  high: string | null,
  from: number,
  endOf: (most: string) => number,
): void {
  const top = high ?? '9'.repeat(WHOLE_DIGITS);
  for (let length = low.length; length <= top.length; length++) {
    const least = length === low.length ? low : `1${'0'.repeat(length - 1)}`;
    const most = length === top.length ? top : '9'.repeat(length);
    if (least <= most) addSameLength(builder, least, most, from, endOf(most));
  }
}

/** Numbers with as many digits as the bounds, by their first digits. */
function addSameLength(builder: ProgramBuilder, low: string, high: string, from: number, to: number): void {
  if (/^0*$/.test(low) && /^9*$/.test(high)) {
    addDigits(builder, { min: low.length, max: low.length }, from, to);
    return;
  }
  const [first, last] = [Number(low[0]), Number(high[0])];
  const part = (digit: number, least: string, most: string) => {
    const state = builder.state();
    builder.text(from, String(digit), state);
    addSameLength(builder, least, most, state, to);
  };
  const rest = low.length - 1;
  if (first === last) {
    part(first, low.slice(1), high.slice(1));
    return;
  }
  part(first, low.slice(1), '9'.repeat(rest));
  part(last, '0'.repeat(rest), high.slice(1));
  if (last - first < 2) return;
  const between = builder.state();
  builder.bytes(from, 0x30 + first + 1, 0x30 + last - 1, between);
  addDigits(builder, { min: rest, max: rest }, between, to);
}

interface FractionEnd {
  readonly digits: string;
  readonly exclusive: boolean;
}

/** Fractions of at most `digits` digits, or none, that are at least `low` and at most `high`; null for no bound on that side. */
function addFraction(
  builder: ProgramBuilder,
  [low, high]: readonly [low: FractionEnd | null, high: FractionEnd | null],
  digits: number,
  from: number,
  to: number,
): void {
  const point = builder.state();
  builder.text(from, '.', point);
  const states = new Map<string, number>([['0true', point]]);
  const open = [{ at: 0, low, high, state: point }];
  if (mayEnd(0, low, high)) builder.epsilon(from, to);
  for (let place = open.pop(); place !== undefined; place = open.pop()) {
    const { at, state } = place;
    if (at > 0 && mayEnd(at, place.low, place.high)) builder.epsilon(state, to);
    if (at >= digits) continue;
    for (let digit = 0; digit <= 9; digit++) {
      const [least, most] = [digitAt(place.low, at, 0), digitAt(place.high, at, 9)];
      if (digit < least || digit > most) continue;
      const next = {
        at: at + 1,
        low: digit === least ? place.low : null,
        high: digit === most ? place.high : null,
      };
      const key = `${next.at} ${next.low === null} ${next.high === null}`;
      const known = states.get(key);
      const target = known ?? builder.state();
      builder.text(state, String(digit), target);
      if (known !== undefined) continue;
      states.set(key, target);
      open.push({ ...next, state: target });
    }
  }
}

/** The digit of a bound that still binds, after its last digit 0; `free` if no bound binds. */
function digitAt(end: FractionEnd | null, at: number, free: number): number {
  return end === null ? free : Number(end.digits[at] ?? 0);
}

/** Whether a fraction may end after `at` digits that match the bounds still in force. */
function mayEnd(at: number, low: FractionEnd | null, high: FractionEnd | null): boolean {
  const more = (end: FractionEnd) => /[1-9]/.test(end.digits.slice(at));
  if (low !== null && (more(low) || low.exclusive)) return false;
  return high === null || more(high) || !high.exclusive;
}

function addAnyFraction(builder: ProgramBuilder, from: number, to: number): void {
  const point = builder.state();
  builder.epsilon(from, to);
  builder.text(from, '.', point);
  addDigits(builder, { min: 1, max: FRACTION_DIGITS }, point, to);
}

function addDigits(
  builder: ProgramBuilder,
  bounds: { readonly min: number; readonly max: number },
  from: number,
  to: number,
): void {
  addRepeat(builder, bounds, from, to, (start, end) => builder.bytes(start, 0x30, 0x39, end));
}
