import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MessagePieces } from '../../../../coordinator/openai/message/message-pieces.js';
import { MessageReader } from '../../../../coordinator/openai/message/message-reader.js';
import { addPiece, type WholeCall } from '../../../../coordinator/openai/message/whole-call.js';
import { TOOL_FORMATS, type ToolCallParser, toolCallParserOf } from '../../../../src/model/tool-format.js';

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
}

function read(pieces: readonly string[], reading: Reading): Message & { ids: string[] } {
  const { parser, enforced = false, most = 'many', reasoning = null } = reading;
  let made = 0;
  const calls =
    parser === undefined
      ? null
      : {
          format: TOOL_FORMATS[parser],
          enforced,
          most,
          names: new Set(['f', 'get_weather']),
          newId: () => `id${made++}`,
        };
  const reader = new MessageReader({ reasoning, calls });
  const whole: WholeCall[] = [];
  const parts: MessagePieces[] = [...pieces.map((piece) => reader.push(piece)), reader.flush()];
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

describe('the reader of messages', () => {
  it.each(CASES)('finds %s', (_, reading, answer, message) => {
    expect(read([answer], reading)).toMatchObject(message);
    expect(read([...answer], reading)).toMatchObject(message);
  });

  it('finds the same however the answer is cut', () => {
    fc.assert(
      fc.property(fc.constantFrom(...CASES), fc.array(fc.nat(200)), ([, reading, answer], places) => {
        const cuts = [0, ...places.filter((at) => at < answer.length).sort((a, b) => a - b), answer.length];
        const pieces = cuts.slice(1).map((end, i) => answer.slice(cuts[i], end));
        expect(read(pieces, reading)).toEqual(read([answer], reading));
      }),
      { numRuns: 500 },
    );
  });

  it('gives the name of a call first, then its arguments as they come', () => {
    const reader = new MessageReader({
      reasoning: null,
      calls: { format: TOOL_FORMATS.hermes, enforced: false, most: 'many', names: new Set(), newId: () => 'c1' },
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
    ['{{ messages }}', null],
    [null, null],
  ])('%s is %s', (template, parser) => {
    expect(toolCallParserOf(template)).toBe(parser);
  });
});
