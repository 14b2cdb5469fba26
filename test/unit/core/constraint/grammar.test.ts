import { describe, expect, it } from 'vitest';
import { InvalidRequest } from '../../../../src/errors.js';
import { allows, allTexts, machineOf } from './support.js';

const machine = (grammar: string) => machineOf({ type: 'grammar', grammar });

/** llama.cpp's example of arithmetic. */
const ARITHMETIC = `
root  ::= (expr "=" ws term "\\n")+
expr  ::= term ([-+*/] term)*
term  ::= ident | num | "(" ws expr ")" ws # recursive
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \\t\\n]*
`;
/** vLLM's example of SQL, in the form of Lark. */
const SQL = `
?start: select_statement
select_statement: "SELECT " column " from " table " where " condition
column: "col_1 " | "col_2 "   // two
table: "table_1 " | "table_2 " -> other
condition: column "= " number
number.2: /[12]/ ~ 1..3
`;

describe('a constraint by a grammar', () => {
  it('allows the texts of recursive rules', () => {
    const arithmetic = machine(ARITHMETIC);
    for (const text of ['a=1\n', '(1+(x *2))-y = z\n', 'a=1\nb=2\n']) expect(allows(arithmetic, text)).toBe(true);
    for (const text of ['', 'a=1', '(1=1\n', 'a+=1\n', 'A=1\n']) expect(allows(arithmetic, text)).toBe(false);
  });

  it('in the form of Lark allows the same', () => {
    const sql = machine(SQL);
    expect(allows(sql, 'SELECT col_1  from table_2  where col_2 = 121')).toBe(true);
    expect(allows(sql, 'SELECT col_1  from table_2  where col_2 = 1212')).toBe(false);
    expect(allows(sql, 'SELECT col_3 ')).toBe(false);
    const lark = machine('start: [a] "x".."z" b?\na: "Ab"i\n?b: /\\/+/');
    for (const text of ['x', 'abz', 'AB' + 'y///', 'aBx/']) expect([text, allows(lark, text)]).toEqual([text, true]);
    for (const text of ['a', 'abw', '/']) expect([text, allows(lark, text)]).toEqual([text, false]);
  });

  it('allows exactly the texts of the language: nothing else, and each of them', () => {
    const tokens = ['(', ')', 'x', '()', ')x'];
    const balanced = (text: string) => {
      let open = 0;
      for (const char of text) {
        open += char === '(' ? 1 : char === ')' ? -1 : 0;
        if (open < 0) return false;
      }
      return open === 0;
    };
    const found = allTexts(machine('root ::= ("(" root ")" | "x")*'), tokens, 5);
    const all = allTexts(machine('root ::= [()x]*'), tokens, 5);
    expect([...found].sort()).toEqual([...all].filter(balanced).sort());
    expect(found.size).toBeGreaterThan(40);
  });

  it('allows lists that are written as recursive rules, as long as they may be', () => {
    const list = machine('root ::= item | item "," root\nitem ::= [a-z]');
    expect(allows(list, `${'a,'.repeat(3_000)}b`)).toBe(true);
    const rest = machine('root ::= "a" tail?\ntail ::= "," root');
    expect(allows(rest, `${'a,'.repeat(3_000)}a`)).toBe(true);
  });

  it('knows escapes, repetitions and characters beyond ASCII', () => {
    const grammar = machine('root ::= "\\x41\\u00e9\\n\\"" [^a-z]{2} . ("ü" ){1,} | "-"{ 2 , 3 }');
    for (const text of ['Aé\n"12😀ü', 'Aé\n"A\n!üü', '--', '---'])
      expect([text, allows(grammar, text)]).toEqual([text, true]);
    for (const text of ['-', '----', 'Aé\n"1a!ü']) expect([text, allows(grammar, text)]).toEqual([text, false]);
  });

  it.each([
    ['x ::= "a"', /no rule 'root'/],
    ['rule: "a"', /no rule 'start'/],
    ['root ::= a', /no rule 'a'/],
    ['root ::= root "a" | "b"', /'root' may begin with itself/],
    ['root ::= x\nx ::= y? root "a" | "b"\ny ::= "c"', /may begin with itself/],
    ['root ::= "a', /without its end.*line 1/],
    ['root ::= ("a"', /lacks a '\)'/],
    ['root ::= "a"\nroot ::= "b"', /twice \(line 2\)/],
    ['root ::= "a" )', /lacks the head of a rule/],
    ['root ::= [b-a]', /range/],
    ['root ::= "a"{5000}', /more than 4096/],
    ['root ::= "a"**', /repeats a repetition/],
    ['root ::= "\\q"', /escape/],
    ['start: WS\n%import common.WS', /%import.*line 2/],
    ['start: /a/s', /flags 's'/],
    ['start: /(?=a)b/', /looks ahead/],
    ['root ::= root', /begin with itself/],
    ['root ::= "a" root', /no text/],
    [`root ::= ${'('.repeat(65)}"a"${')'.repeat(65)}`, /64 groups/],
    ['root ::= (("a"{100}){100}){100}', /states|edges/],
  ])('is refused where it cannot be honoured: %s', (grammar, why) => {
    expect(() => machine(grammar)).toThrow(InvalidRequest);
    expect(() => machine(grammar)).toThrow(why);
  });

  it('is refused where it is too long, or has too many rules', () => {
    expect(() => machine(`root ::= "${'a'.repeat(65_536)}"`)).toThrow(/65536 characters/);
    const rules = Array.from({ length: 1_025 }, (_, i) => `r${i} ::= "a"`).join('\n');
    expect(() => machine(`root ::= r0\n${rules}`)).toThrow(/got 1026/);
  });

  it('goes on after rules that begin with expressions, which is no recursion at the beginning', () => {
    expect(allows(machine('start: /x+/ start | "y"'), 'xxxy')).toBe(true);
  });
});
