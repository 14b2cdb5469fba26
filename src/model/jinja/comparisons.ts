import type { Token } from './token.js';

const OPEN: ReadonlySet<string> = new Set(['OpenParen', 'OpenSquareBracket', 'OpenCurlyBracket']);
const CLOSE: ReadonlySet<string> = new Set(['CloseParen', 'CloseSquareBracket', 'CloseCurlyBracket']);
/** Tokens that begin another expression. */
const SEPARATES: ReadonlySet<string> = new Set(['Comma', 'Colon', 'Equals']);
const WORDS: ReadonlySet<string> = new Set(['and', 'or', 'if', 'elif', 'else']);

/** Before an operator whose left side is the value that the comparison before it ends with. */
export const CHAINED = 'and ';

/**
 * Marks the comparisons of a row such as `1 < x < 3` but for the first one. In Python, all must hold, while the parser compares the first result with
 * the last value.
 */
export function withChains(tokens: readonly Token[]): Token[] {
  const result: Token[] = [];
  // How many comparisons the current expression has, at each depth of brackets.
  let counts = [0];
  // The first `in` of a loop is none.
  let isLoop = false;
  for (const [i, token] of tokens.entries()) {
    const { type, value } = token;
    const word = type === 'Identifier' && tokens[i - 1]?.type !== 'Dot' ? value : null;
    result.push(token);
    if (type === 'OpenStatement') isLoop = tokens[i + 1]?.value === 'for';
    if (OPEN.has(type)) counts.push(0);
    else if (CLOSE.has(type)) counts.pop();
    else if (type === 'OpenStatement' || type === 'OpenExpression') counts = [0];
    else if (SEPARATES.has(type) || (word !== null && WORDS.has(word))) counts[counts.length - 1] = 0;
    else if (word === 'in' && isLoop && counts.length === 1) isLoop = false;
    else if (type === 'ComparisonBinaryOperator' || word === 'in') {
      const isNegated = word === 'in' && result.at(-2)?.type === 'Identifier' && result.at(-2)?.value === 'not';
      if (counts.at(-1)! > 0) {
        result.splice(isNegated ? -2 : -1);
        const operator = isNegated ? `not ${value}` : value;
        result.push({ type: 'ComparisonBinaryOperator', value: CHAINED + operator });
      }
      counts[counts.length - 1]! += 1;
    }
  }
  return result;
}
