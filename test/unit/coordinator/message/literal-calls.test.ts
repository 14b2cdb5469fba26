import { describe } from 'vitest';
import { textWithTokens, tokenText } from '../../../../coordinator/openai/message/token-mark.js';
import { type Case, calls, finds, text } from './support/cases.js';

const PYTHON_ROME = `get_weather(city='Rome, "IT" {[', days=[1, {'a': None, "b": True}], )`;
const CASES: readonly Case[] = [
  ['a call of Python', { parser: 'pythonic' }, '[f(a=1)]', calls(['f', '{"a":1}'])],
  ['a call of Python without arguments', { parser: 'pythonic' }, ' [ f( ) ] ', calls(['f', '{}'])],
  [
    'two calls of Python',
    { parser: 'pythonic' },
    `[${PYTHON_ROME}, f()]`,
    calls(['get_weather', '{"city":"Rome, \\"IT\\" {[","days":[1,{"a":null,"b":true}]}'], ['f', '{}']),
  ],
  [
    'strings of Python',
    { parser: 'pythonic' },
    `[f(s='a"\\'\\n\\u00e9\\x41\\101\\q\\\\', t="""x"y\n""", u="", v='''''')]`,
    calls(['f', '{"s":"a\\"\'\\néAA\\\\q\\\\","t":"x\\"y\\n","u":"","v":""}']),
  ],
  [
    'numbers, words and lists of Python',
    { parser: 'pythonic' },
    "[f(w=-1_000, x=.5, y=0x10, z=1e5), f(l=[], d={}, n=[None, True, false, {'k': 'v',}],)]",
    calls(['f', '{"w":-1000,"x":0.5,"y":16,"z":1e5}'], ['f', '{"l":[],"d":{},"n":[null,true,false,{"k":"v"}]}']),
  ],
  [
    'characters beyond the first plane',
    { parser: 'pythonic' },
    "[f(a='\\ud83d\\ude00😀\\U0001F600')]",
    calls(['f', '{"a":"\\ud83d\\ude00😀😀"}']),
  ],
  [
    'a call between the marks of Llama 4',
    { parser: 'pythonic' },
    '<|python_start|>[f(a=1)]<|python_end|>',
    calls(['f', '{"a":1}']),
  ],
  [
    'a text in brackets',
    { parser: 'pythonic' },
    '[1] says: get_weather(city=1)',
    text('[1] says: get_weather(city=1)'),
  ],
  ['a function that is no tool', { parser: 'pythonic' }, '[print(a=1)]', text('[print(a=1)]')],
  ['an argument without a name', { parser: 'pythonic' }, "[f('Rome')]", text("[f('Rome')]")],
  ['an expression', { parser: 'pythonic' }, '[f(a=b)]', text('[f(a=b)]')],
  [
    'an expression after a value',
    { parser: 'pythonic' },
    '[f(a=1, b=c)]',
    { ...text('[f(a=1, b=c)]'), calls: [['f', '{"a":1,"b":']] },
  ],
  ['a tool that is named like a word', { parser: 'pythonic' }, '[True(a=True)]', calls(['True', '{"a":true}'])],
  ['a name with marks', { parser: 'pythonic' }, '[a.b-c(user-id=1)]', calls(['a.b-c', '{"user-id":1}'])],
  ['an unfinished call of Python', { parser: 'pythonic' }, "[f(a='x", calls(['f', '{"a":"x'])],
  ['an unfinished name of Python', { parser: 'pythonic' }, '[get_wea', text('[get_wea')],
  [
    'markup in an argument of Python',
    { parser: 'pythonic' },
    "[f(a=')]</tool_call>[f(')]",
    calls(['f', '{"a":")]</tool_call>[f("}']),
  ],
  [
    'a call of FunctionGemma',
    { parser: 'functiongemma' },
    '<start_function_call>call:get_weather{city:<escape>Rome, "IT" {[\n<escape>,days:[1,{a:null}],ok:true}<end_function_call>',
    calls(['get_weather', '{"city":"Rome, \\"IT\\" {[\\n","days":[1,{"a":null}],"ok":true}']),
  ],
  [
    'calls of Gemma 4',
    { parser: 'gemma4' },
    'Hm. <|tool_call>call:f{a:<|"|>x<|"<|"|>,b:{<|"|>k:<|"|>:[]}}<tool_call|><|tool_call>call:f{}<tool_call|><|tool_response>',
    {
      ...text('Hm.'),
      calls: [
        ['f', '{"a":"x<|\\"","b":{"k:":[]}}'],
        ['f', '{}'],
      ],
    },
  ],
  [
    'a text without its marks',
    { parser: 'gemma4' },
    '<|tool_call>call:f{a:New York, b:-1.5,c:True}<tool_call|>',
    calls(['f', '{"a":"New York","b":-1.5,"c":true}']),
  ],
  [
    'what follows the result that a model begins',
    { parser: 'gemma4' },
    '<|tool_call>call:f{}<tool_call|><|tool_response>response:f{value:1}',
    calls(['f', '{}']),
  ],
  ['an unfinished call of Gemma', { parser: 'gemma4' }, '<|tool_call>call:f{a:<|"|>x<|', calls(['f', '{"a":"x'])],
  ['no call of Gemma', { parser: 'gemma4' }, 'a <|tool_call>cat', text('a <|tool_call>cat')],
  [
    'special tokens that are no marks of the place where they stand',
    { parser: 'gemma4', specials: ['<|"|>', '<|tool_call>', '<tool_call|>'] },
    `Say ${tokenText('<|"|>')} or <|tool_call>call:f{}.`,
    text('Say <|"|> or <|tool_call>call:f{}.'),
  ],
  [
    'a quotation mark of Gemma spelled in its strings and names',
    { parser: 'gemma4', specials: ['<|"|>', '<|tool_call>', '<tool_call|>'] },
    textWithTokens('<|tool_call>call:f{a:{<|"|>', ['<|"|>', '<|tool_call>']) +
      `<|"|>k${tokenText('<|"|>')}:${tokenText('<|"|>')}a<|"|>}\u{10fc00}${tokenText('<|"|>')},b:x}}` +
      tokenText('<tool_call|>'),
    calls(['f', '{"a":{"<|\\"|>k":"a<|\\"|>}\u{10fc00}","b":"x"}}']),
  ],
  [
    'an expression in the second call',
    { parser: 'pythonic' },
    '[f(a=1), get_weather(city=c)] or so',
    { ...text(', get_weather(city=c)] or so'), calls: [['f', '{"a":1}']] },
  ],
  ['a separator after the last call', { parser: 'pythonic' }, '[f(a=1),', calls(['f', '{"a":1}'])],
];

describe('the reader of calls of Python and Gemma', () => finds(CASES));
