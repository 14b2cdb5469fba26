import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MessagePieces } from '../../../../coordinator/openai/message/message-pieces.js';
import { messageReader } from '../../../../coordinator/openai/message/message-reader.js';
import { textWithTokens, tokenText } from '../../../../coordinator/openai/message/token-mark.js';
import { toolFormatInText } from '../../../../coordinator/openai/message/tool-format-in-text.js';
import { addPiece, type WholeCall } from '../../../../coordinator/openai/message/whole-call.js';
import {
  REASONING_MARKS,
  type ReasoningMarks,
  type ReasoningParser,
  reasoningParserOf,
} from '../../../../src/model/reasoning-format.js';
import { type ToolCallParser, toolCallParserOf, toolFormatOf } from '../../../../src/model/tool-format.js';

interface Message {
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly (readonly [name: string, json: string])[];
}

interface Reading {
  readonly parser?: ToolCallParser;
  readonly enforced?: boolean;
  readonly most?: 'one' | 'many';
  readonly reasoning?: 'before' | 'inside';
  readonly thoughts?: ReasoningParser;
  /** Whether the answer is one message in channels. */
  readonly framed?: boolean;
  readonly specials?: readonly string[];
  readonly cut?: boolean;
}

function inText({ begin, end }: ReasoningMarks, specials: readonly string[]): ReasoningMarks {
  return { begin: textWithTokens(begin, specials), end: textWithTokens(end, specials) };
}

function read(pieces: readonly string[], reading: Reading): Message & { ids: string[] } {
  const { parser, enforced = false, most = 'many', reasoning, thoughts = 'think' } = reading;
  const { framed = false, specials = [], cut = false } = reading;
  let made = 0;
  const calls =
    parser === undefined
      ? null
      : {
          format: toolFormatInText(toolFormatOf(parser, null), specials),
          enforced,
          most,
          names: new Set(['f', 'get_weather', 'True', 'function', 'a.b-c']),
          newId: () => `id${made++}`,
        };
  const marks = REASONING_MARKS[thoughts];
  const reader = messageReader(
    marks === null || calls?.format.syntax.type === 'harmony'
      ? {
          ...{ form: 'channels', begins: reasoning === 'inside' ? 'text' : 'header', reasons: marks === null, calls },
          ...{ enforced: framed, specials },
        }
      : { form: 'marked', reasoning: reasoning ? { begins: reasoning, marks: inText(marks, specials) } : null, calls },
  );
  const whole: WholeCall[] = [];
  const parts: MessagePieces[] = [...pieces.map((piece) => reader.push(piece)), reader.flush(cut)];
  for (const piece of parts.flatMap((part) => part.calls)) addPiece(whole, piece);
  return {
    text: parts.map(({ text }) => text).join(''),
    reasoning: parts.map((part) => part.reasoning).join(''),
    calls: whole.map(({ name, arguments: json }) => [name, json]),
    ids: whole.map(({ id }) => id),
  };
}

const ROME = '{"city": "Rome, \\"IT\\" {[", "days": [1, {"a": null}]}';
const HERMES = `<tool_call>\n{"name": "get_weather", "arguments": ${ROME}}\n</tool_call>`;
const text = (value: string): Message => ({ text: value, reasoning: '', calls: [] });
const calls = (...list: Message['calls']): Message => ({ text: '', reasoning: '', calls: list });

const HARMONY_MARKS = ['<|channel|>', '<|message|>', '<|constrain|>', '<|start|>', '<|end|>', '<|call|>', '<|return|>'];

const CASES: readonly (readonly [string, Reading, string, Message])[] = [
  ['a call', { parser: 'hermes' }, HERMES, calls(['get_weather', ROME])],
  [
    'arguments before the name',
    { parser: 'hermes' },
    '<tool_call>{"arguments":{},"name":"f"}</tool_call>',
    calls(['f', '{}']),
  ],
  ['no arguments', { parser: 'hermes' }, '<tool_call>{"name":"f"}</tool_call>', calls(['f', '{}'])],
  [
    'arguments in a string',
    { parser: 'hermes' },
    '<tool_call>{"name":"f","arguments":"{\\"a\\":1}"}',
    calls(['f', '{"a":1}']),
  ],
  [
    'a number beside',
    { parser: 'hermes' },
    '<tool_call>{"id": 7, "name":"f", "arguments": {"a":1} }',
    calls(['f', '{"a":1}']),
  ],
  [
    'text before, and two calls',
    { parser: 'hermes' },
    `I look.\n\n${HERMES}\n${HERMES}`,
    {
      text: 'I look.',
      reasoning: '',
      calls: [
        ['get_weather', ROME],
        ['get_weather', ROME],
      ],
    },
  ],
  ['one call of two', { parser: 'hermes', most: 'one' }, `${HERMES}\n${HERMES}`, calls(['get_weather', ROME])],
  [
    'no call',
    { parser: 'hermes' },
    ' It is <b>warm</b> <tool and {"name": "f"} ',
    text(' It is <b>warm</b> <tool and {"name": "f"} '),
  ],
  ['no JSON in the mark', { parser: 'hermes' }, 'a <tool_call>\nhello', text('a <tool_call>\nhello')],
  [
    'JSON that is no call',
    { parser: 'hermes' },
    '<tool_call>{"a": 1}</tool_call>',
    text('<tool_call>{"a": 1}</tool_call>'),
  ],
  ['an unfinished mark', { parser: 'hermes' }, 'a  <tool_c', text('a  <tool_c')],
  [
    'unfinished arguments',
    { parser: 'hermes' },
    '<tool_call>{"name": "f", "arguments": {"a": "x',
    calls(['f', '{"a": "x']),
  ],
  ['an unfinished name', { parser: 'hermes' }, '<tool_call>{"name": "f', text('<tool_call>{"name": "f')],
  ['a bare call', { parser: 'llama3_json' }, '{"name": "f", "parameters": {"a": 1}}', calls(['f', '{"a": 1}'])],
  [
    'a call after the tag',
    { parser: 'llama3_json' },
    '<|python_tag|>{"name": "f", "parameters": {}}',
    calls(['f', '{}']),
  ],
  [
    'bare calls',
    { parser: 'llama3_json' },
    '{"name": "f", "parameters": {"a": 1}}; {"name": "f", "parameters": {}}',
    calls(['f', '{"a": 1}'], ['f', '{}']),
  ],
  [
    'an object of another kind',
    { parser: 'llama3_json' },
    ' {"name": "Bob", "parameters": 7} x',
    text(' {"name": "Bob", "parameters": 7} x'),
  ],
  [
    'text',
    { parser: 'llama3_json' },
    ' Hello {"name": "f", "parameters": {}}',
    text(' Hello {"name": "f", "parameters": {}}'),
  ],
  [
    'a list',
    { parser: 'mistral' },
    '[TOOL_CALLS][{"name": "f", "arguments": {"a": [1]}}, {"name": "f", "arguments": {}}]',
    calls(['f', '{"a": [1]}'], ['f', '{}']),
  ],
  [
    'names before arguments',
    { parser: 'mistral' },
    '[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]get_weather{}',
    calls(['f', '{"a": 1}'], ['get_weather', '{}']),
  ],
  [
    'a name with an id',
    { parser: 'mistral' },
    '[TOOL_CALLS]f[CALL_ID]abc123XYZ[ARGS]{"a": 1}',
    calls(['f', '{"a": 1}']),
  ],
  [
    'a list without a mark',
    { parser: 'mistral', enforced: true },
    '[{"name": "f", "arguments": {}}]',
    calls(['f', '{}']),
  ],
  ['a list that is text', { parser: 'mistral' }, '[TOOLS] [1, 2] ', text('[TOOLS] [1, 2] ')],
  ['enforced calls', { parser: 'hermes', enforced: true }, HERMES, calls(['get_weather', ROME])],
  [
    'reasoning',
    { reasoning: 'before' },
    '<think>\nHm, <b>.\n</think>\n\nYes. </think>',
    { text: 'Yes. </think>', reasoning: 'Hm, <b>.', calls: [] },
  ],
  [
    'reasoning that the prompt begins',
    { reasoning: 'inside' },
    'Hm.</think>Yes.',
    { text: 'Yes.', reasoning: 'Hm.', calls: [] },
  ],
  [
    'reasoning without an end',
    { reasoning: 'before' },
    '<think>Hm </th',
    { text: '', reasoning: 'Hm </th', calls: [] },
  ],
  ['no reasoning', { reasoning: 'before' }, ' Yes <think>', text(' Yes <think>')],
  [
    'a call after reasoning about calls',
    { parser: 'hermes', reasoning: 'before' },
    `<think>I may write <tool_call>{"name": "f"}</think>${HERMES}`,
    { text: '', reasoning: 'I may write <tool_call>{"name": "f"}', calls: [['get_weather', ROME]] },
  ],
];

/** Values in place of the arguments that are none: the text is no call. */
const NO_ARGUMENTS = ['null', '[1]', '"plain"', '"[1]"', '"null"', '7', 'false'].flatMap((json) =>
  [`{"name": "f", "arguments": ${json}}`, `{"arguments": ${json}, "name": "f"}`].flatMap((call) =>
    (['hermes', 'llama3_json', 'mistral'] as const).map((parser): (typeof CASES)[number] => {
      const mark = { hermes: '<tool_call>', llama3_json: '', mistral: '[TOOL_CALLS]' }[parser];
      return [`no call of ${parser}: ${call}`, { parser }, `${mark}${call}`, text(`${mark}${call}`)];
    }),
  ),
);

const PYTHON_ROME = `get_weather(city='Rome, "IT" {[', days=[1, {'a': None, "b": True}], )`;
const V3 = (name: string, json: string) =>
  `<｜tool▁call▁begin｜>function<｜tool▁sep｜>${name}\n\`\`\`json\n${json}\n\`\`\`<｜tool▁call▁end｜>`;
const V31 = (name: string, json: string) => `<｜tool▁call▁begin｜>${name}<｜tool▁sep｜>${json}<｜tool▁call▁end｜>`;
const ALL = (...list: string[]) => `<｜tool▁calls▁begin｜>${list.join('')}<｜tool▁calls▁end｜>`;
const TO_F = '<|channel|>commentary to=functions.f <|constrain|>json<|message|>';
const harmony: Reading = { parser: 'openai', thoughts: 'openai_gptoss' };

/** Families whose calls are not JSON alone. */
const FAMILIES: readonly (readonly [string, Reading, string, Message])[] = [
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
    { ...text(']'), calls: [['f', '{"a":1,"b":']] },
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
    'calls of DeepSeek V3',
    { parser: 'deepseek_v3' },
    `Look.${ALL(V3('get_weather', ROME), '\n', V3('f', '{}'))}`,
    {
      ...text('Look.'),
      calls: [
        ['get_weather', ROME],
        ['f', '{}'],
      ],
    },
  ],
  [
    'calls of DeepSeek V3.1',
    { parser: 'deepseek_v31' },
    ALL(V31('get_weather', ROME), V31('function', '{"a": "```"}')),
    calls(['get_weather', ROME], ['function', '{"a": "```"}']),
  ],
  ['the older form with the newer parser', { parser: 'deepseek_v31' }, ALL(V3('f', '{}')), calls(['f', '{}'])],
  [
    'what follows the end of the calls',
    { parser: 'deepseek_v31' },
    `${ALL(V31('f', '{}'))} and more`,
    calls(['f', '{}']),
  ],
  [
    'an unfinished name of DeepSeek',
    { parser: 'deepseek_v31' },
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_w',
    text('<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_w'),
  ],
  [
    'no JSON of DeepSeek',
    { parser: 'deepseek_v31' },
    'a<｜tool▁call▁begin｜>f<｜tool▁sep｜>hello',
    text('a<｜tool▁call▁begin｜>f<｜tool▁sep｜>hello'),
  ],
  [
    'a call of DeepSeek after reasoning',
    { parser: 'deepseek_v3', reasoning: 'inside' },
    `Hm.\n</think>\n\n${ALL(V3('f', '{"a": 1}'))}`,
    { text: '', reasoning: 'Hm.', calls: [['f', '{"a": 1}']] },
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
    'reasoning of Gemma 4',
    { parser: 'gemma4', thoughts: 'gemma4', reasoning: 'before' },
    '<|channel>thought\nHm.\n<channel|><|tool_call>call:f{}<tool_call|>',
    { text: '', reasoning: 'Hm.', calls: [['f', '{}']] },
  ],
  [
    'reasoning of Mistral',
    { parser: 'mistral', thoughts: 'mistral', reasoning: 'before' },
    '[THINK]Hm.[/THINK]Yes.',
    { text: 'Yes.', reasoning: 'Hm.', calls: [] },
  ],
  [
    'channels',
    harmony,
    '<|channel|>analysis<|message|>Hm.\n<|end|><|start|>assistant<|channel|>final<|message|>Yes. ',
    { text: 'Yes. ', reasoning: 'Hm.\n', calls: [] },
  ],
  [
    'a call in a channel',
    harmony,
    `<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant${TO_F}{"a": "<|x"}<|call|>`,
    { text: '', reasoning: 'Hm.', calls: [['f', '{"a": "<|x"}']] },
  ],
  [
    'a call whose header has the recipient first',
    harmony,
    ' to=functions.f<|channel|>commentary json<|message|>{"a":1}',
    calls(['f', '{"a":1}']),
  ],
  [
    'a call after words to the user',
    harmony,
    `<|channel|>commentary<|message|>I look.<|end|><|start|>assistant${TO_F} <|call|>`,
    { ...text('I look.'), calls: [['f', '{}']] },
  ],
  [
    'what follows a call in a channel',
    harmony,
    `${TO_F}{}<|call|><|start|>assistant<|channel|>final<|message|>x`,
    calls(['f', '{}']),
  ],
  [
    'two thoughts',
    harmony,
    '<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>analysis<|message|>B<|end|>',
    { text: '', reasoning: 'A\nB', calls: [] },
  ],
  ['a message that the prompt has begun', { ...harmony, reasoning: 'inside' }, 'Yes.<|return|>', text('Yes.')],
  ['a text without a header', harmony, ' Yes, <b>', text(' Yes, <b>')],
  [
    'an unfinished header',
    harmony,
    '<|channel|>analysis<|message|>Hm.<|end|><|start|>assis',
    { text: '', reasoning: 'Hm.', calls: [] },
  ],
  ['a header that does not end', harmony, `<|channel|>${'x'.repeat(600)}`, text(`<|channel|>${'x'.repeat(600)}`)],
  // The last 522 characters may still become a header.
  ['many beginnings of headers', harmony, '<|start|>'.repeat(300), text('<|start|>'.repeat(242))],
  ['an unfinished call in a channel', harmony, `${TO_F}{"a": 1<|ca`, calls(['f', '{"a": 1<|ca'])],
  [
    'one call of two in channels',
    { ...harmony, most: 'one' },
    `${TO_F}{}<|end|><|start|>assistant${TO_F}{"a":1}<|call|>`,
    calls(['f', '{}']),
  ],
  [
    'a call in a channel that a limit cut before its arguments',
    { ...harmony, cut: true },
    `${TO_F} `,
    calls(['f', '']),
  ],
  [
    'spelled marks within a text, where special tokens mark the channels',
    { ...harmony, specials: HARMONY_MARKS },
    textWithTokens('<|channel|>final<|message|>', HARMONY_MARKS) +
      'a <|end|><|start|>assistant<|channel|>analysis<|message|>b<|call|>\u{10fc00}' +
      tokenText('<|return|>'),
    text('a <|end|><|start|>assistant<|channel|>analysis<|message|>b<|call|>\u{10fc00}'),
  ],
  [
    'spelled marks within a call, where special tokens mark the channels',
    { ...harmony, specials: HARMONY_MARKS },
    `${textWithTokens(TO_F, HARMONY_MARKS)}{"a": "<|end|><|call|>"}${tokenText('<|call|>')}`,
    calls(['f', '{"a": "<|end|><|call|>"}']),
  ],
  [
    'spelled marks within an answer of a given form',
    { ...harmony, framed: true },
    '<|channel|>final<|message|>{"a": "<|end|> <|channel|>analysis<|message|>x<|return|>"}',
    text('{"a": "<|end|> <|channel|>analysis<|message|>x<|return|>"}'),
  ],
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
    'names of functions of Mistral with other characters',
    { parser: 'mistral', specials: ['[TOOL_CALLS]', '[ARGS]'] },
    textWithTokens('[TOOL_CALLS]a/b[ARGS]{}[TOOL_CALLS]日本[ARGS]{"a":1}[TOOL_CALLS]$x;{}', ['[TOOL_CALLS]', '[ARGS]']),
    calls(['a/b', '{}'], ['日本', '{"a":1}'], ['$x;', '{}']),
  ],
  [
    'reasoning between special tokens',
    { thoughts: 'mistral', reasoning: 'before', specials: ['[THINK]', '[/THINK]'] },
    `${textWithTokens('[THINK]Say ', ['[THINK]'])}[/THINK].${tokenText('[/THINK]')} Yes.`,
    { text: 'Yes.', reasoning: 'Say [/THINK].', calls: [] },
  ],
  [
    'thoughts as text, without a parser for them',
    { parser: 'openai' },
    '<|channel|>analysis<|message|>Hm.<|end|>',
    text('Hm.'),
  ],
];

describe('the reader of messages', () => {
  it.each([...CASES, ...NO_ARGUMENTS, ...FAMILIES])('finds %s', (_, reading, answer, message) => {
    expect(read([answer], reading)).toMatchObject(message);
    expect(read([...answer], reading)).toMatchObject(message);
  });

  it('finds the same however the answer is cut', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CASES, ...NO_ARGUMENTS, ...FAMILIES),
        fc.array(fc.nat(200)),
        ([, reading, answer], places) => {
          const cuts = [0, ...places.filter((at) => at < answer.length).sort((a, b) => a - b), answer.length];
          const pieces = cuts.slice(1).map((end, i) => answer.slice(cuts[i], end));
          expect(read(pieces, reading)).toEqual(read([answer], reading));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('gives the name of a call first, then its arguments as they come', () => {
    const reader = messageReader({
      form: 'marked',
      reasoning: null,
      calls: {
        ...{ format: toolFormatOf('hermes', null), enforced: false, most: 'many' },
        ...{ names: new Set(), newId: () => 'c1' },
      },
    });
    expect(reader.push('<tool_call>{"name": "f", "argu').calls).toEqual([]);
    expect(reader.push('ments": {"a').calls).toEqual([
      { index: 0, id: 'c1', name: 'f', arguments: '' },
      { index: 0, arguments: '{"a' },
    ]);
    expect(reader.push('": 1').calls).toEqual([{ index: 0, arguments: '": 1' }]);
  });
});

describe('the parser of a chat template', () => {
  it.each([
    ['{{ "<tool_call>" }}', 'hermes'],
    ['{{ "<tool_call><function=" }}', null],
    ['{{ "[TOOL_CALLS]" }}', 'mistral'],
    ['{{ "<|start_header_id|>" + \'"parameters": \' }}', 'llama3_json'],
    ['{{ "<|python_tag|>" }}', 'llama3_json'],
    ['{{ "<|header_start|>" + \'"parameters": \' }}', 'llama3_json'],
    ["{{ '<|start_header_id|>' + tool_call.name + '(' }}", 'pythonic'],
    ['Write [func_name1(a=1)]', 'pythonic'],
    ['<｜tool▁call▁begin｜>function\n```json', 'deepseek_v3'],
    ['<｜tool▁call▁begin｜>', 'deepseek_v31'],
    ['<|channel|><|message|><tool_call>', 'openai'],
    ['<start_function_call>call:', 'functiongemma'],
    ['<|tool_call>call:', 'gemma4'],
    ['{{ messages }}', null],
    [null, null],
  ])('%s is %s', (template, parser) => {
    expect(toolCallParserOf(template)).toBe(parser);
  });
});

describe('the parser of reasoning of a chat template', () => {
  it.each([
    ['<think></think>', 'think'],
    ['[THINK][/THINK]', 'mistral'],
    ['<|channel>thought<channel|>', 'gemma4'],
    ['<|channel|>analysis<|message|>', 'openai_gptoss'],
    ['{{ messages }}', null],
    [null, null],
  ])('%s is %s', (template, parser) => {
    expect(reasoningParserOf(template)).toBe(parser);
  });
});
