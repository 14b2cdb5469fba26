import {
  Attributes,
  Float,
  isList,
  isNone,
  type JinjaValue,
  type Key,
  NoContent,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
} from './values.js';

/** Values as texts: as templates print them (`str` of Python), and as they stand in printed lists (`repr`). */

export function printedText(value: JinjaValue): string {
  if (typeof value === 'string') return value;
  if (value instanceof Undefined || value instanceof NoContent) return '';
  return reprOf(value);
}

function reprOf(value: JinjaValue): string {
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number') return String(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (isNone(value)) return 'None';
  if (value instanceof Float) return floatText(value.value);
  if (isList(value)) return `[${value.map(reprOf).join(', ')}]`;
  if (value instanceof Tuple) return `(${value.items.map(reprOf).join(', ')}${value.items.length === 1 ? ',' : ''})`;
  if (value instanceof Map) return dictRepr(value);
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Attributes && value.type === 'Namespace') return `<Namespace ${dictRepr(value.fields)}>`;
  // Python prints an address in memory.
  throw new TemplateError(`a ${typeName(value)} cannot be printed`);
}

function dictRepr(dict: ReadonlyMap<Key, JinjaValue>): string {
  return `{${[...dict].map(([key, item]) => `${reprOf(key)}: ${reprOf(item)}`).join(', ')}}`;
}

/** From this exponent on, and below the other one, Python writes an exponent. */
const LARGE_EXPONENT = 16;
const SMALL_EXPONENT = -4;

/** A float as Python writes it: the shortest digits that are read as the same number. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [, sign = '', first = '', rest = '', power = ''] = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(
    value.toExponential(),
  )!;
  const exponent = Number(power);
  if (exponent >= LARGE_EXPONENT || exponent < SMALL_EXPONENT) {
    const digits = String(Math.abs(exponent)).padStart(2, '0');
    return `${sign}${first}${rest === '' ? '' : `.${rest}`}e${exponent < 0 ? '-' : '+'}${digits}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${first}${rest}`;
  const digits = (first + rest).padEnd(exponent + 1, '0');
  return `${sign}${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1) || '0'}`;
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
/**
 * The characters that Python escapes when it prints a string. Python escapes private-use characters too, but here they
 * replace the anchors of special tokens (`special-guard`), so they are kept.
 */
const UNPRINTABLE = /[\\]|(?![ \p{Co}])[\p{C}\p{Z}]/gu;

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(UNPRINTABLE, escapedChar);
  return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote;
}

function escapedChar(char: string): string {
  const known = ESCAPES[char];
  if (known !== undefined) return known;
  const code = char.codePointAt(0)!;
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}
