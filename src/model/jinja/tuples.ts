import type { Token } from './token.js';

/** Marks a list that is meant as a tuple, in the form of a filter. No filter of a template has this name. */
export const TUPLE_FILTER = 'as tuple';

const OPEN: ReadonlySet<string> = new Set(['OpenParen', 'OpenSquareBracket', 'OpenCurlyBracket']);
const CLOSE: ReadonlySet<string> = new Set(['CloseParen', 'CloseSquareBracket', 'CloseCurlyBracket']);
const ENDS_OPERAND: ReadonlySet<string> = new Set([
  'CloseParen',
  'CloseSquareBracket',
  'CloseCurlyBracket',
  'StringLiteral',
]);
/** Names after which a parenthesis is no call. */
const WORDS: ReadonlySet<string> = new Set(['and', 'or', 'not', 'in', 'if', 'elif', 'else', 'is']);
const TAG_END: ReadonlySet<string> = new Set(['CloseStatement', 'CloseExpression']);

/**
 * Tokens in which tuples have a form that the parser takes. It takes neither `()` nor `(1,)`, nor tuples without parentheses in `{{ 1, 2 }}` and
 * `for i in 1, 2`.
 */
export function withTuples(tokens: readonly Token[]): Token[] {
  return withLists(withParens(tokens));
}

function token(type: string, value: string): Token {
  return { type, value };
}

/** Encloses tuples that have no parentheses: what is printed, what is iterated, and what is assigned. */
function withParens(tokens: readonly Token[]): Token[] {
  const result: Token[] = [];
  for (let at = 0; at < tokens.length; at++) {
    result.push(tokens[at]!);
    const from = tupleStart(tokens, at);
    if (from === null) continue;
    const to = tupleEnd(tokens, from);
    if (!hasComma(tokens, from, to)) continue;
    result.push(
      ...tokens.slice(at + 1, from),
      token('OpenParen', '('),
      ...tokens.slice(from, to),
      token('CloseParen', ')'),
    );
    at = to - 1;
  }
  return result;
}

/** Where a tuple may begin within the tag that begins here; null if it may not. */
function tupleStart(tokens: readonly Token[], at: number): number | null {
  if (tokens[at]!.type === 'OpenExpression') return at + 1;
  if (tokens[at]!.type !== 'OpenStatement') return null;
  const kind = tokens[at + 1]?.value;
  if (kind !== 'for' && kind !== 'set') return null;
  for (let i = at + 2; i < tokens.length && !TAG_END.has(tokens[i]!.type); i++) {
    if (kind === 'set' ? tokens[i]!.type === 'Equals' : tokens[i]!.type === 'Identifier' && tokens[i]!.value === 'in')
      return i + 1;
  }
  return null;
}

function tupleEnd(tokens: readonly Token[], from: number): number {
  let depth = 0;
  for (let at = from; at < tokens.length; at++) {
    const { type, value } = tokens[at]!;
    if (TAG_END.has(type)) return at;
    if (OPEN.has(type)) depth++;
    else if (CLOSE.has(type)) depth--;
    // The condition or the mode of a loop.
    else if (depth === 0 && type === 'Identifier' && (value === 'if' || value === 'recursive')) return at;
  }
  return tokens.length;
}

function hasComma(tokens: readonly Token[], from: number, to: number): boolean {
  let depth = 0;
  for (const { type } of tokens.slice(from, to)) {
    if (OPEN.has(type)) depth++;
    else if (CLOSE.has(type)) depth--;
    else if (depth === 0 && type === 'Comma') return true;
  }
  return false;
}

/** Gives empty tuples, and those with a comma at their end, the form `([...] | as tuple)`. */
function withLists(tokens: readonly Token[]): Token[] {
  const result: Token[] = [];
  const opened: { readonly at: number; readonly isCall: boolean }[] = [];
  for (const [i, one] of tokens.entries()) {
    if (OPEN.has(one.type)) opened.push({ at: result.length, isCall: one.type !== 'OpenParen' || isCall(tokens, i) });
    const closed = CLOSE.has(one.type) ? opened.pop() : undefined;
    const last = tokens[i - 1]?.type;
    if (closed === undefined || closed.isCall || (last !== 'Comma' && last !== 'OpenParen')) {
      result.push(one);
      continue;
    }
    if (last === 'Comma') result.pop();
    result.splice(closed.at + 1, 0, token('OpenSquareBracket', '['));
    result.push(token('CloseSquareBracket', ']'), token('Pipe', '|'), token('Identifier', TUPLE_FILTER), one);
  }
  return result;
}

/** Whether the parenthesis at `at` begins the arguments of a call, or the parameters of a macro. */
function isCall(tokens: readonly Token[], at: number): boolean {
  const before = tokens[at - 1];
  if (before === undefined) return false;
  if (before.type === 'Identifier') return !WORDS.has(before.value) || tokens[at - 2]?.type === 'Dot';
  return ENDS_OPERAND.has(before.type);
}
