import { describe, expect, it } from 'vitest';
import { messageReader } from '../../../../coordinator/openai/message/message-reader.js';
import { textWithTokens } from '../../../../coordinator/openai/message/token-mark.js';
import { toolFormatOf } from '../../../../src/model/tool-format.js';
import { type Case, calls, finds, HERMES, ROME, text } from './support/cases.js';

const CASES: readonly Case[] = [
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
    'names of functions of Mistral with other characters',
    { parser: 'mistral', specials: ['[TOOL_CALLS]', '[ARGS]'] },
    textWithTokens('[TOOL_CALLS]a/b[ARGS]{}[TOOL_CALLS]日本[ARGS]{"a":1}[TOOL_CALLS]$x;{}', ['[TOOL_CALLS]', '[ARGS]']),
    calls(['a/b', '{}'], ['日本', '{"a":1}'], ['$x;', '{}']),
  ],
  [
    'a text after a call',
    { parser: 'hermes' },
    `${HERMES}\n\nSo, <b>.`,
    { ...text('So, <b>.'), calls: [['get_weather', ROME]] },
  ],
  [
    'a mark after a call, and no call',
    { parser: 'hermes' },
    `${HERMES}\n<tool_call>\nhello`,
    { ...text('<tool_call>\nhello'), calls: [['get_weather', ROME]] },
  ],
  [
    'JSON after a call that is no call',
    { parser: 'hermes' },
    `${HERMES}\n<tool_call>{"a": 1}</tool_call>`,
    { ...text('<tool_call>{"a": 1}</tool_call>'), calls: [['get_weather', ROME]] },
  ],
  [
    'a second call that is cut in its mark',
    { parser: 'hermes' },
    `${HERMES}\n<tool_call>\n`,
    { ...text('<tool_call>\n'), calls: [['get_weather', ROME]] },
  ],
  ['an end that is cut', { parser: 'hermes' }, HERMES.slice(0, -5), calls(['get_weather', ROME])],
  [
    'a call without its last brace',
    { parser: 'hermes' },
    HERMES.replace('}\n</tool_call>', ''),
    calls(['get_weather', ROME]),
  ],
  [
    'a call whose object does not end after its arguments',
    { parser: 'hermes' },
    '<tool_call>{"name": "f", "arguments": {"a": 1}, oops}</tool_call>',
    { ...text(', oops}</tool_call>'), calls: [['f', '{"a": 1}']] },
  ],
  [
    'a call with arguments twice',
    { parser: 'hermes' },
    '<tool_call>{"name": "f", "arguments": {"a": 1}, "arguments": {"b": 2}}',
    { ...text(', "arguments": {"b": 2}}'), calls: [['f', '{"a": 1}']] },
  ],
  [
    'arguments that are not JSON',
    { parser: 'hermes' },
    'a <tool_call>{"name": "f", "arguments": {"a": one}}</tool_call> b',
    { ...text('a <tool_call>{"name": "f", "arguments": {"a": one}}</tool_call> b'), calls: [['f', '{"a": one}']] },
  ],
];

/** Values in place of the arguments that are none: the text is no call. */
const NO_ARGUMENTS: readonly Case[] = ['null', '[1]', '"plain"', '"[1]"', '"null"', '7', 'false'].flatMap((json) =>
  [`{"name": "f", "arguments": ${json}}`, `{"arguments": ${json}, "name": "f"}`].flatMap((call) =>
    (['hermes', 'llama3_json', 'mistral'] as const).map((parser): Case => {
      const mark = { hermes: '<tool_call>', llama3_json: '', mistral: '[TOOL_CALLS]' }[parser];
      return [`no call of ${parser}: ${call}`, { parser }, `${mark}${call}`, text(`${mark}${call}`)];
    }),
  ),
);

describe('the reader of calls in JSON', () => {
  finds([...CASES, ...NO_ARGUMENTS]);

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
