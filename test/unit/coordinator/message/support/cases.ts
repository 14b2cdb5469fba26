import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { MessagePieces } from '../../../../../coordinator/openai/message/message-pieces.js';
import { messageReader } from '../../../../../coordinator/openai/message/message-reader.js';
import { textWithTokens } from '../../../../../coordinator/openai/message/token-mark.js';
import { toolFormatInText } from '../../../../../coordinator/openai/message/tool-format-in-text.js';
import { addPiece, type WholeCall } from '../../../../../coordinator/openai/message/whole-call.js';
import {
  REASONING_MARKS,
  type ReasoningMarks,
  type ReasoningParser,
} from '../../../../../src/model/reasoning-format.js';
import { type ToolCallParser, toolFormatOf } from '../../../../../src/model/tool-format.js';

/** Answers and the messages that readers find in them. */

export interface Message {
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly (readonly [name: string, json: string])[];
}

export interface Reading {
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

/** A name, how the answer is read, the answer, and the message in it. */
export type Case = readonly [name: string, reading: Reading, answer: string, message: Message];

export const ROME = '{"city": "Rome, \\"IT\\" {[", "days": [1, {"a": null}]}';
export const HERMES = `<tool_call>\n{"name": "get_weather", "arguments": ${ROME}}\n</tool_call>`;
export const text = (value: string): Message => ({ text: value, reasoning: '', calls: [] });
export const calls = (...list: Message['calls']): Message => ({ text: '', reasoning: '', calls: list });

/** Declares the tests that each message is found, whole and however its answer is cut. */
export function finds(cases: readonly Case[]): void {
  it.each(cases)('finds %s', (_, reading, answer, message) => {
    expect(read([answer], reading)).toMatchObject(message);
    expect(read([...answer], reading)).toMatchObject(message);
  });

  it('finds the same however the answer is cut', () => {
    fc.assert(
      fc.property(fc.constantFrom(...cases), fc.array(fc.nat(200)), ([, reading, answer], places) => {
        const cuts = [0, ...places.filter((at) => at < answer.length).sort((a, b) => a - b), answer.length];
        const pieces = cuts.slice(1).map((end, i) => answer.slice(cuts[i], end));
        expect(read(pieces, reading)).toEqual(read([answer], reading));
      }),
      { numRuns: 500 },
    );
  });
}
