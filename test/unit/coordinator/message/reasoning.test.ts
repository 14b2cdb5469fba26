import { describe } from 'vitest';
import { textWithTokens, tokenText } from '../../../../coordinator/openai/message/token-mark.js';
import { type Case, finds, HERMES, ROME, text } from './support/cases.js';

const CASES: readonly Case[] = [
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
    'reasoning of Mistral',
    { parser: 'mistral', thoughts: 'mistral', reasoning: 'before' },
    '[THINK]Hm.[/THINK]Yes.',
    { text: 'Yes.', reasoning: 'Hm.', calls: [] },
  ],
  [
    'reasoning between special tokens',
    { thoughts: 'mistral', reasoning: 'before', specials: ['[THINK]', '[/THINK]'] },
    `${textWithTokens('[THINK]Say ', ['[THINK]'])}[/THINK].${tokenText('[/THINK]')} Yes.`,
    { text: 'Yes.', reasoning: 'Say [/THINK].', calls: [] },
  ],
  [
    'reasoning of Gemma 4',
    { parser: 'gemma4', thoughts: 'gemma4', reasoning: 'before' },
    '<|channel>thought\nHm.\n<channel|><|tool_call>call:f{}<tool_call|>',
    { text: '', reasoning: 'Hm.', calls: [['f', '{}']] },
  ],
  [
    'a call after reasoning about calls',
    { parser: 'hermes', reasoning: 'before' },
    `<think>I may write <tool_call>{"name": "f"}</think>${HERMES}`,
    { text: '', reasoning: 'I may write <tool_call>{"name": "f"}', calls: [['get_weather', ROME]] },
  ],
];

describe('the reader of reasoning', () => finds(CASES));
