import { seen } from '../shadow-chars.js';
import { compareTexts } from './python-text.js';
import { floatText } from './text-of.js';
import { Float, isList, isNone, type JinjaValue, type Key, TemplateError, Tuple, typeName } from './values.js';

/** The filter `tojson` of transformers: `json.dumps` of Python, which escapes no HTML. */

export interface JsonForm {
  /** The indent of an inner line, for each level; null for all in one line. */
  readonly indent: string | null;
  readonly itemSeparator: string;
  readonly keySeparator: string;
  readonly isAscii: boolean;
  readonly sortsKeys: boolean;
}

/** @throws TemplateError for a value that JSON does not have */
export function jsonOf(value: JinjaValue, form: JsonForm, margin = '\n'): string {
  if (typeof value === 'string') return jsonText(value, form.isAscii);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (isNone(value)) return 'null';
  if (value instanceof Float) return jsonFloat(value.value);
  if (isList(value)) return listJson(value, form, margin);
  if (value instanceof Tuple) return listJson(value.items, form, margin);
  if (value instanceof Map) return dictJson(value, form, margin);
  throw new TemplateError(`JSON has no form for a value of type ${typeName(value)}`);
}

function jsonFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return Number.isFinite(value) ? floatText(value) : value > 0 ? 'Infinity' : '-Infinity';
}

/** Beyond ASCII. Private-use characters replace the anchors of special tokens, which are ASCII in nearly all vocabularies. */
const NOT_ASCII = /[\x7f-\udfff\uf900-\uffff]/g;

function jsonText(text: string, isAscii: boolean): string {
  const json = JSON.stringify(text);
  if (!isAscii) return json;
  return json.replace(NOT_ASCII, (char) =>
    char === '\x7f' ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function listJson(items: readonly JinjaValue[], form: JsonForm, margin: string): string {
  return enclosed(
    '[]',
    items.map((item) => jsonOf(item, form, innerMargin(form, margin))),
    form,
    margin,
  );
}

function dictJson(dict: ReadonlyMap<Key, JinjaValue>, form: JsonForm, margin: string): string {
  const entries = [...dict].map(([key, item]) => [jsonKey(key), item] as const);
  if (form.sortsKeys) entries.sort(([a], [b]) => compareTexts(seen(a), seen(b)));
  const lines = entries.map(
    ([key, item]) => jsonText(key, form.isAscii) + form.keySeparator + jsonOf(item, form, innerMargin(form, margin)),
  );
  return enclosed('{}', lines, form, margin);
}

function jsonKey(key: Key): string {
  return key === null ? 'null' : String(key);
}

function innerMargin({ indent }: JsonForm, margin: string): string {
  return margin + (indent ?? '');
}

function enclosed(brackets: string, parts: readonly string[], form: JsonForm, margin: string): string {
  const [open, close] = brackets;
  if (parts.length === 0 || form.indent === null) return open + parts.join(form.itemSeparator) + close;
  const inner = innerMargin(form, margin);
  return open + inner + parts.join(form.itemSeparator + inner) + margin + close;
}
