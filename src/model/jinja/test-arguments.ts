import type { Token } from './token.js';

/** Before the name of a test with arguments, which the parser takes for a filter: it knows no arguments of tests. */
export const TEST_PREFIX = 'is ';
/** The prefix of a negated test. */
export const NEGATED_TEST_PREFIX = 'is not ';

const ENDS_TEST: ReadonlySet<string> = new Set(['and', 'or', 'else', 'if', 'is', 'not', 'in']);
const LITERALS: ReadonlySet<string> = new Set(['StringLiteral', 'NumericLiteral']);
const OPENS: Readonly<Record<string, string>> = {
  OpenParen: 'CloseParen',
  OpenSquareBracket: 'CloseSquareBracket',
  OpenCurlyBracket: 'CloseCurlyBracket',
};

/** Tokens in which `x is divisibleby(3)` and `x is divisibleby 3` have the form of a filter, `x | name(3)`, which binds as strongly. */
export function withTestArguments(tokens: readonly Token[]): Token[] {
  const result: Token[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const test = testAt(tokens, at);
    if (test === null) {
      result.push(tokens[at]!);
      continue;
    }
    const argument = withTestArguments(tokens.slice(test.from, test.to));
    const hasParens = tokens[test.from]!.type === 'OpenParen';
    result.push({ type: 'Pipe', value: '|' }, { type: 'Identifier', value: test.name });
    result.push(...(hasParens ? argument : [paren('OpenParen', '('), ...argument, paren('CloseParen', ')')]));
    at = test.to - 1;
  }
  return result;
}

function paren(type: string, value: string): Token {
  return { type, value };
}

/** A test with arguments that begins here: its name, and the range of its arguments. */
function testAt(tokens: readonly Token[], at: number): { name: string; from: number; to: number } | null {
  const isWord = (index: number, word: string) => tokens[index]?.type === 'Identifier' && tokens[index].value === word;
  // `is` may be a field's name too.
  if (!isWord(at, 'is') || tokens[at - 1]?.type === 'Dot') return null;
  const isNegated = isWord(at + 1, 'not');
  const nameAt = at + (isNegated ? 2 : 1);
  const from = nameAt + 1;
  const [name, first] = [tokens[nameAt], tokens[from]];
  if (name?.type !== 'Identifier' || first === undefined) return null;
  const to = first.type === 'OpenParen' ? closing(tokens, from) : primaryEnd(tokens, from);
  if (to === null) return null;
  return { name: (isNegated ? NEGATED_TEST_PREFIX : TEST_PREFIX) + name.value, from, to };
}

/** The end of an argument without parentheses: a literal, a list, or a name with what follows it. Null if none begins here. */
function primaryEnd(tokens: readonly Token[], from: number): number | null {
  const { type, value } = tokens[from]!;
  if (type in OPENS) return closing(tokens, from);
  if (!LITERALS.has(type) && (type !== 'Identifier' || ENDS_TEST.has(value))) return null;
  let end = from + 1;
  for (;;) {
    const next = tokens[end]?.type;
    if (next === 'Dot') end += 2;
    else if (next === 'OpenSquareBracket' || next === 'OpenParen') end = closing(tokens, end) ?? tokens.length;
    else return end;
  }
}

/** One beyond the bracket that closes the one at `from`; null if none does. */
function closing(tokens: readonly Token[], from: number): number | null {
  const [open, close] = [tokens[from]!.type, OPENS[tokens[from]!.type]];
  let depth = 0;
  for (let at = from; at < tokens.length; at++) {
    if (tokens[at]!.type === open) depth++;
    if (tokens[at]!.type === close && --depth === 0) return at + 1;
  }
  return null;
}
