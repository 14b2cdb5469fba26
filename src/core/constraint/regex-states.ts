import { InvalidRequest } from '../../errors.js';
import type { CharSet } from './char-set.js';
import type { ProgramBuilder } from './program.js';
import type { Regex } from './regex-syntax.js';

/** Writes one character of a set, from one state to another. */
export type WriteChars = (from: number, set: CharSet, to: number) => void;

/**
 * Adds the states of a regular expression that matches all of the text between two states (Thompson, 1968).
 * @throws InvalidRequest for `^` and `$` within it
 */
export function addRegex(
  builder: ProgramBuilder,
  regex: Regex,
  from: number,
  to: number,
  writeChars: WriteChars,
): void {
  switch (regex.type) {
    case 'chars':
      writeChars(from, regex.set, to);
      return;
    case 'edge':
      throw new InvalidRequest('has ^ or $ within; they can be honoured at the ends of the expression');
    case 'choice':
      for (const option of regex.options) addRegex(builder, option, from, to, writeChars);
      return;
    case 'sequence': {
      let at = from;
      for (const item of regex.items) {
        const next = builder.state();
        addRegex(builder, item, at, next, writeChars);
        at = next;
      }
      builder.epsilon(at, to);
      return;
    }
    case 'repeat':
      addRepeat(builder, regex, from, to, repeated(builder, regex, writeChars));
      return;
  }
}

/** Copies of an item from which on they share its states, and ranges of characters that make an item worth it. */
const SHARED_FROM = 8;
const SHARED_RANGES = 3;

/** Adds one copy of the item of a repetition between two states. */
function repeated(
  builder: ProgramBuilder,
  { item, min, max }: Extract<Regex, { readonly type: 'repeat' }>,
  writeChars: WriteChars,
): (from: number, to: number) => void {
  const copies = max === Number.POSITIVE_INFINITY ? min : max;
  const isSmall = item.type === 'chars' && item.set.length < SHARED_RANGES;
  if (isSmall || copies < SHARED_FROM) return (from, to) => addRegex(builder, item, from, to, writeChars);
  const [start, end] = [builder.state(), builder.state()];
  addRegex(builder, item, start, end, writeChars);
  builder.final(end);
  return (from, to) => builder.call(from, start, to);
}

/** Adds `min` to `max` of what `add` adds between two states; `max` may be infinite. */
export function addRepeat(
  builder: Pick<ProgramBuilder, 'state' | 'epsilon'>,
  { min, max }: { readonly min: number; readonly max: number },
  from: number,
  to: number,
  add: (from: number, to: number) => void,
): void {
  let at = from;
  const one = () => {
    const next = builder.state();
    add(at, next);
    at = next;
  };
  for (let i = 0; i < min; i++) one();
  if (max === Number.POSITIVE_INFINITY) {
    const loop = builder.state();
    builder.epsilon(at, loop);
    at = loop;
    const back = builder.state();
    add(loop, back);
    builder.epsilon(back, loop);
  } else {
    for (let i = min; i < max; i++) {
      builder.epsilon(at, to);
      one();
    }
  }
  builder.epsilon(at, to);
}
