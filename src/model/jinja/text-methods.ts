import { seen } from '../shadow-chars.js';
import type { Budget } from './budget.js';
import { capitalized, folded, isLower, isUpper, titled } from './letter-case.js';
import type { ParameterList } from './parameters.js';
import { isBlank, lines, parts, stripped, words, wordsFromRight } from './python-text.js';
import { charsOf, isNone, iterated, type JinjaValue, TemplateError, Tuple, typeName } from './values.js';

/** The methods of `str`. */

type Args = readonly (JinjaValue | undefined)[];
export interface TextMethod extends ParameterList {
  apply(text: string, args: Args, budget: Budget): JinjaValue;
}

export const TEXT_METHODS: Readonly<Record<string, TextMethod>> = {
  upper: plain((text) => text.toUpperCase()),
  lower: plain((text) => text.toLowerCase()),
  casefold: plain(folded),
  swapcase: plain((text) => Array.from(text, swapped).join('')),
  title: plain(titled),
  capitalize: plain(capitalized),
  strip: { parameters: ['chars'], apply: (text, [chars]) => stripped(text, charsArg(chars)) },
  lstrip: { parameters: ['chars'], apply: (text, [chars]) => stripped(text, charsArg(chars), 'left') },
  rstrip: { parameters: ['chars'], apply: (text, [chars]) => stripped(text, charsArg(chars), 'right') },
  split: { parameters: ['sep', 'maxsplit'], apply: (text, [sep, most]) => split(text, sep, most) },
  rsplit: { parameters: ['sep', 'maxsplit'], apply: (text, [sep, most]) => splitFromRight(text, sep, most) },
  splitlines: { parameters: ['keepends'], apply: (text, [keeps]) => lines(text, keeps === true) },
  partition: {
    parameters: ['sep'],
    required: 1,
    apply: (text, [sep]) => partition(text, sep, seen(text).indexOf(seen(textArg(sep)))),
  },
  rpartition: { parameters: ['sep'], required: 1, apply: partitionFromRight },
  startswith: at((text, affix) => text.startsWith(affix)),
  endswith: at((text, affix) => text.endsWith(affix)),
  removeprefix: affix((text, prefix) => (seen(text).startsWith(seen(prefix)) ? text.slice(prefix.length) : text)),
  removesuffix: affix((text, suffix) =>
    seen(text).endsWith(seen(suffix)) ? text.slice(0, text.length - suffix.length) : text,
  ),
  replace: { parameters: ['old', 'new', 'count'], required: 2, apply: replaced },
  join: { parameters: ['iterable'], required: 1, apply: joined },
  find: position((text, part) => text.indexOf(part)),
  rfind: position((text, part) => text.lastIndexOf(part)),
  index: position((text, part) => found(text.indexOf(part))),
  rindex: position((text, part) => found(text.lastIndexOf(part))),
  count: affix((text, part) => occurrences(text, part)),
  zfill: { parameters: ['width'], required: 1, apply: zeroFilled },
  center: padded((missing, odd) => Math.floor(missing / 2) + (odd ? missing % 2 : 0)),
  ljust: padded(() => 0),
  rjust: padded((missing) => missing),
  isdigit: every(/^[\p{Nd}\u00b2\u00b3\u00b9\u2070-\u2079\u2080-\u2089]+$/u),
  isdecimal: every(/^\p{Nd}+$/u),
  isnumeric: every(/^\p{N}+$/u),
  isalpha: every(/^\p{L}+$/u),
  isalnum: every(/^[\p{L}\p{N}]+$/u),
  isspace: plain((text) => text !== '' && Array.from(text).every(isBlank)),
  isupper: plain(isUpper),
  islower: plain(isLower),
  isascii: plain((text) => !/[\u0080-\uffff]/.test(seen(text))),
  isidentifier: every(/^[\p{L}_][\p{L}\p{N}_]*$/u),
};

function plain(apply: (text: string) => JinjaValue): TextMethod {
  return { parameters: [], apply };
}

function affix(apply: (text: string, part: string) => JinjaValue): TextMethod {
  return { parameters: ['part'], required: 1, apply: (text, [part]) => apply(text, textArg(part)) };
}

function every(pattern: RegExp): TextMethod {
  return plain((text) => pattern.test(seen(text)));
}

/** `startswith` and `endswith`, with one text or several, and a range of the text. */
function at(test: (text: string, affix: string) => boolean): TextMethod {
  return {
    parameters: ['prefix', 'start', 'end'],
    required: 1,
    apply: (text, [affixes, start, end]) => {
      const part =
        start === undefined
          ? seen(text)
          : charsOf(seen(text))
              .slice(intArg(start), end === undefined ? undefined : intArg(end))
              .join('');
      return affixes instanceof Tuple
        ? affixes.items.some((one) => test(part, seen(textArg(one))))
        : test(part, seen(textArg(affixes)));
    },
  };
}

/** A method that finds a part and returns its position, in characters. */
function position(find: (text: string, part: string) => number): TextMethod {
  return {
    parameters: ['sub', 'start', 'end'],
    required: 1,
    apply: (text, [part, start, end]) => {
      const chars = charsOf(seen(text));
      const from = start === undefined ? 0 : clamped(intArg(start), chars.length);
      const range = chars.slice(from, end === undefined ? chars.length : clamped(intArg(end), chars.length)).join('');
      const offset = find(range, seen(textArg(part)));
      return offset < 0 ? -1 : from + charsOf(range.slice(0, offset)).length;
    },
  };
}

function clamped(index: number, length: number): number {
  return index < 0 ? Math.max(0, index + length) : Math.min(index, length);
}

function found(offset: number): number {
  if (offset >= 0) return offset;
  throw new TemplateError('substring not found');
}

function textArg(value: JinjaValue | undefined): string {
  if (typeof value === 'string') return value;
  throw new TemplateError(`a string is required, not '${typeName(value ?? null)}'`);
}

function intArg(value: JinjaValue): number {
  if (typeof value === 'number' || typeof value === 'boolean') return Number(value);
  throw new TemplateError(`'${typeName(value)}' object cannot be interpreted as an integer`);
}

function charsArg(value: JinjaValue | undefined): string | null {
  return value === undefined || isNone(value) ? null : textArg(value);
}

function mostArg(value: JinjaValue | undefined): number {
  const most = value === undefined ? -1 : intArg(value);
  return most < 0 ? Number.POSITIVE_INFINITY : most;
}

function separatorArg(value: JinjaValue | undefined): string | null {
  const separator = charsArg(value);
  if (separator === '') throw new TemplateError('empty separator');
  return separator;
}

function split(text: string, sep: JinjaValue | undefined, count: JinjaValue | undefined): string[] {
  const [separator, most] = [separatorArg(sep), mostArg(count)];
  if (separator === null) return words(text, most);
  const all = parts(text, separator);
  if (all.length - 1 <= most) return all;
  const first = all.slice(0, most);
  return [...first, text.slice(first.reduce((sum, part) => sum + part.length + separator.length, 0))];
}

function splitFromRight(text: string, sep: JinjaValue | undefined, count: JinjaValue | undefined): string[] {
  const [separator, most] = [separatorArg(sep), mostArg(count)];
  if (separator === null) return wordsFromRight(text, most);
  const [whole, wanted] = [seen(text), seen(separator)];
  const found: string[] = [];
  let end = text.length;
  while (found.length < most) {
    const offset = end < separator.length ? -1 : whole.lastIndexOf(wanted, end - separator.length);
    if (offset < 0) break;
    found.push(text.slice(offset + separator.length, end));
    end = offset;
  }
  return [...found, text.slice(0, end)].reverse();
}

function partition(text: string, sep: JinjaValue | undefined, offset: number): Tuple {
  const separator = separatorArg(sep)!;
  if (offset < 0) return new Tuple([text, '', '']);
  const end = offset + separator.length;
  return new Tuple([text.slice(0, offset), text.slice(offset, end), text.slice(end)]);
}

function partitionFromRight(text: string, [sep]: Args): Tuple {
  const offset = seen(text).lastIndexOf(seen(textArg(sep)));
  return offset < 0 ? new Tuple(['', '', text]) : partition(text, sep, offset);
}

function occurrences(text: string, part: string): number {
  return part === '' ? charsOf(text).length + 1 : parts(text, part).length - 1;
}

function replaced(text: string, [old, fresh, count]: Args, budget: Budget): string {
  const [part, other] = [textArg(old), textArg(fresh)];
  const most = count === undefined || isNone(count) ? Number.POSITIVE_INFINITY : mostArg(count);
  const times = Math.min(most, occurrences(text, part));
  budget.reserveChars(text.length + times * Math.max(0, other.length - part.length));
  if (times === 0) return text;
  const all = part === '' ? ['', ...charsOf(text), ''] : parts(text, part);
  const changed = all.slice(0, times);
  const kept = text.slice(changed.reduce((sum, one) => sum + one.length + part.length, 0));
  return [...changed, kept].join(other);
}

function joined(separator: string, [items]: Args, budget: Budget): string {
  const texts = iterated(items!).map((item, i) => {
    if (typeof item === 'string') return item;
    throw new TemplateError(`sequence item ${i}: expected str instance, ${typeName(item)} found`);
  });
  budget.reserveChars(texts.reduce((sum, text) => sum + text.length, 0) + separator.length * texts.length);
  return texts.join(separator);
}

function zeroFilled(text: string, [width]: Args, budget: Budget): string {
  const missing = Math.max(0, intArg(width!) - charsOf(text).length);
  budget.reserveChars(text.length + missing);
  const sign = /^[+-]/.test(seen(text)) ? text[0]! : '';
  return sign + '0'.repeat(missing) + text.slice(sign.length);
}

/** @param left how many of the missing fill characters go to the left */
function padded(left: (missing: number, isOddWidth: boolean) => number): TextMethod {
  return {
    parameters: ['width', 'fillchar'],
    required: 1,
    apply: (text, [width, fill = ' '], budget) => {
      const missing = Math.max(0, intArg(width!) - charsOf(text).length);
      budget.reserveChars(text.length + missing);
      const before = left(missing, intArg(width!) % 2 === 1);
      return textArg(fill).repeat(before) + text + textArg(fill).repeat(missing - before);
    },
  };
}

function swapped(char: string): string {
  const upper = char.toUpperCase();
  return char === upper ? char.toLowerCase() : upper;
}
