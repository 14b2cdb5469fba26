import { describe } from 'vitest';
import { textWithTokens, tokenText } from '../../../../coordinator/openai/message/token-mark.js';
import { type Case, calls, finds, type Reading, text } from './support/cases.js';

const HARMONY_MARKS = ['<|channel|>', '<|message|>', '<|constrain|>', '<|start|>', '<|end|>', '<|call|>', '<|return|>'];

const TO_F = '<|channel|>commentary to=functions.f <|constrain|>json<|message|>';
const harmony: Reading = { parser: 'openai', thoughts: 'openai_gptoss' };

const CASES: readonly Case[] = [
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
    'thoughts as text, without a parser for them',
    { parser: 'openai' },
    '<|channel|>analysis<|message|>Hm.<|end|>',
    text('Hm.'),
  ],
  ['a call with null in place of arguments', harmony, `${TO_F} null\n<|call|>`, calls(['f', '{}'])],
  ['a call with arguments that are no object', harmony, `${TO_F}[1, "<|x"]<|call|>`, text('[1, "<|x"]')],
  ['a call with a word that begins like null', harmony, `${TO_F}nul<|call|>`, text('nul')],
  ['a call with null that a limit cut', { ...harmony, cut: true }, `${TO_F}nu`, calls(['f', ''])],
  [
    'text in place of arguments, between a text and a call',
    harmony,
    `<|channel|>commentary<|message|>A<|end|><|start|>assistant${TO_F}B<|end|><|start|>assistant${TO_F}{}<|call|>`,
    { ...text('A\nB'), calls: [['f', '{}']] },
  ],
];

describe('the reader of channels', () => finds(CASES));
