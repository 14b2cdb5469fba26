import { BARE_NAME } from '../../../src/core/constraint/tool-calls.js';
import type { ToolFormat } from '../../../src/model/tool-format.js';
import { CallObject } from './call-object.js';
import type { CallText } from './call-text.js';
import { LiteralCall } from './literal-call.js';
import { lengthWithMarks, withoutTokenMarks } from './token-mark.js';

/** Tells how calls begin, by family. */

/** A call that begins after `length` characters; `unfinished`: a longer text may begin with a call. */
export type Opening = { readonly length: number; readonly call: CallText } | 'unfinished' | null;

/** The characters before the arguments of a call that are read before the text counts as none. */
const OPENING_CHARS = 512;

const NAMED = new RegExp(`^(${BARE_NAME})(?:\\[CALL_ID\\]\\w+)?(?:\\[ARGS\\])?(?=\\{)`);
const BEGINS_NAMED = new RegExp(`^${BARE_NAME}(?:\\[[A-Z_]*\\]?\\w*){0,2}$`);
const GEMMA = /^call:\s*([^\s{}]+)\s*\{/;
const BEGINS_GEMMA = /^(?:c|ca|cal|call|call:\s*[^\s{}]*\s*)$/;
const DEEPSEEK = /^([^\s<{][^<{\n]*)<｜tool▁sep｜>\s*(?=\{)/;
/** The older form: a type, the name, and JSON as in Markdown. */
const DEEPSEEK_TYPED = /^\w+<｜tool▁sep｜>([^\s<{`][^<{`\n]*?)\s*(?:```(?:json)?\s*|\n)(?=\{)/;
const DEEPSEEK_SEPARATOR = '<｜tool▁sep｜>';

/**
 * The call that a text begins with.
 * @param passed what stands before, since the last text or call
 * @param names the tools of the request
 */
export function openingOf(text: string, passed: string, format: ToolFormat, names: ReadonlySet<string>): Opening {
  // Within what begins a call, nothing else spells a special token.
  const opening = openingOfShown(withoutTokenMarks(text), passed, format, names);
  if (opening === null || opening === 'unfinished') return opening;
  return { ...opening, length: lengthWithMarks(text, opening.length) };
}

function openingOfShown(
  text: string,
  passed: string,
  { syntax, marks }: ToolFormat,
  names: ReadonlySet<string>,
): Opening {
  const before = passed.trimEnd();
  const marked = marks.some((mark) => before.endsWith(mark));
  switch (syntax.type) {
    case 'object':
      return text.startsWith('{') ? { length: 0, call: new CallObject() } : null;
    case 'mistral':
      if (text.startsWith('{')) return { length: 0, call: new CallObject() };
      return marked ? firstOf(text, [NAMED], (start) => BEGINS_NAMED.test(start), CallObject.named) : null;
    case 'deepseek':
      return marked ? firstOf(text, [DEEPSEEK, DEEPSEEK_TYPED], beginsDeepseek, CallObject.named) : null;
    case 'gemma':
      return marked
        ? firstOf(
            text,
            [GEMMA],
            (start) => BEGINS_GEMMA.test(start),
            (name) => new LiteralCall(name, syntax),
          )
        : null;
    case 'python':
      return before.endsWith('[') || before.endsWith(',') ? pythonOpening(text, names) : null;
    case 'harmony':
      return null;
  }
}

function firstOf(
  text: string,
  patterns: readonly RegExp[],
  mayBegin: (text: string) => boolean,
  callOf: (name: string) => CallText,
): Opening {
  const start = text.slice(0, OPENING_CHARS);
  for (const pattern of patterns) {
    const found = pattern.exec(start);
    if (found !== null) return { length: found[0].length, call: callOf(found[1]!.trim()) };
  }
  return text.length < OPENING_CHARS && mayBegin(text) ? 'unfinished' : null;
}

function beginsDeepseek(text: string): boolean {
  const at = text.indexOf('<');
  if (at < 0) return !/[{\n]/.test(text);
  const rest = text.slice(at);
  return DEEPSEEK_SEPARATOR.startsWith(rest) || (rest.startsWith(DEEPSEEK_SEPARATOR) && !/[<{]/.test(rest.slice(1)));
}

/** Only the names of tools tell calls from other texts in brackets. */
function pythonOpening(text: string, names: ReadonlySet<string>): Opening {
  let begins = false;
  for (const name of names) {
    if (name.startsWith(text)) begins = true;
    if (!text.startsWith(name)) continue;
    const bracket = /^\s*\(/.exec(text.slice(name.length));
    if (bracket !== null)
      return { length: name.length + bracket[0].length, call: new LiteralCall(name, { type: 'python' }) };
    begins ||= text.slice(name.length).trim() === '';
  }
  return begins ? 'unfinished' : null;
}
