import { describe, expect, it } from 'vitest';
import { fromOniguruma } from '../../../src/model/oniguruma.js';

/** Node 20 does not know groups that ignore case. The library, which does, gets their letters in all cases. */
const found = (source: string, text: string) =>
  text.match(new RegExp(fromOniguruma(source).replaceAll('(?i:', '(?:'), 'gu')) ?? [];

describe('an expression of Oniguruma', () => {
  it.each<[string, string, string[]]>([
    // Atomic groups keep what they matched.
    ['(?>a+)b', 'aab ab', ['aab', 'ab']],
    ['(?>a+)ab', 'aab', []],
    ['(?>a|ab)c', 'abc ac', ['ac']],
    ['(?>(?>a+)b)', 'aab', ['aab']],
    ['(?:(?>a)b)+', 'abab', ['abab']],
    ['a*+a', 'aaa', []],
    ['x[ab]++a', 'xaba', []],
    ['x(?:ab)?+ab', 'xab xabab', ['xabab']],
    // Ruby has no possessive intervals, and its `{2}?` is optional.
    ['a{1,2}+b', 'aaab', ['aaab']],
    ['xa{2}?y', 'xy xay xaay', ['xy', 'xaay']],
    ['xa+?+y', 'xaaay', ['xaaay']],
    ['xa{1,2}?a', 'xaa', ['xaa']],
    // Letters of either case.
    ["(?i:'s)", "'s 'S 'ſ", ["'s", "'S", "'ſ"]],
    ['(?i:[i-l])', '\u212aiM', ['\u212a', 'i']],
    ['(?i:[^s])', 'sSſt', ['t']],
    ['(?i:é)é', 'Éé éÉ', ['Éé']],
    ['\\(\\?>[(?>]+', '(?>(?>', ['(?>(?>']],
  ])('finds the same: %s in %s', (source, text, matches) => {
    expect(found(source, text)).toEqual(matches);
  });

  it.each([
    ['[]a]+', '[]a]+'],
    ['(?i:[]a[^]k-l]])', '(?i:[]aA[^]k-lKL\u212a]])'],
    ['(?i:[\\w&&[:alpha:]])', '(?i:[\\w&&[:alpha:]])'],
    ['(?i:\\x{41}\\p{Lu})', '(?i:\\x{41}\\p{Lu})'],
  ])('leaves to the library what it knows: %s', (source, translated) => {
    expect(fromOniguruma(source)).toBe(translated);
  });

  it.each([
    ['(a)(?>b)\\1', /atomic groups beside numbers of groups/],
    ['(?<=(?>a))b', /an atomic group in a lookbehind/],
    ['(?<!a++)b', /an atomic group in a lookbehind/],
    ['(?m:.)', /the group \(\?m/],
    ['(?i)a', /the group \(\?i\)/],
    ['a)', /a parenthesis that closes none/],
    ['[a', /a class that does not end/],
    ['a\\', /a backslash at the end/],
  ])('is refused if JavaScript cannot find the same: %s', (source, reason) => {
    expect(() => fromOniguruma(source)).toThrow(reason);
  });
});
