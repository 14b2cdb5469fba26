import { describe, expect, it } from 'vitest';
import { messageReader } from '../../../../coordinator/openai/message/message-reader.js';
import { addPiece, type WholeCall } from '../../../../coordinator/openai/message/whole-call.js';
import { ChatTemplate } from '../../../../src/model/chat-template.js';
import { type ToolFormat, toolCallParserOf, toolFormatOf } from '../../../../src/model/tool-format.js';
import { CALLED, CALLS, FAMILIES, type FamilyTemplate } from '../support/families.js';

const NAMES = new Set(CALLS.map((call) => call.function.name));

/** The calls in an answer that comes in pieces, by name and arguments. */
function callsIn(pieces: readonly string[], format: ToolFormat): readonly unknown[] {
  const calls = { format, enforced: false, most: 'many' as const, names: NAMES, newId: () => 'id' };
  const reader = messageReader(
    format.syntax.type === 'harmony'
      ? { form: 'channels', begins: 'header', enforced: false, specials: [], reasons: true, calls }
      : { form: 'marked', reasoning: null, calls },
  );
  const found: WholeCall[] = [];
  for (const part of [...pieces.map((piece) => reader.push(piece)), reader.flush(false)]) {
    expect(part.text).toBe('');
    for (const piece of part.calls) addPiece(found, piece);
  }
  return found.map(({ name, arguments: json }) => [name, JSON.parse(json)]);
}

function rendered({ template }: FamilyTemplate): string {
  const folder = { dir: 'x', chatTemplate: template, tokenizerConfig: {} };
  return ChatTemplate.from(folder)!.render([
    { role: 'user', content: 'Wet?' },
    { role: 'assistant', content: null, toolCalls: CALLS },
    { role: 'tool', content: 'No.', toolCallId: 'abcdefgh1' },
  ]);
}

describe.each(FAMILIES)('calls of $parser', (family) => {
  const format = toolFormatOf(family.parser, family.template);
  const expected = family.parser === 'openai' ? CALLED.slice(0, 1) : CALLED;

  it('are found by the template', () => {
    expect(toolCallParserOf(family.template)).toBe(family.parser);
  });

  it('stand in the history as the model writes them', () => {
    const text = rendered(family);
    expect(text.slice(text.indexOf('Wet?'), text.indexOf('No.'))).toContain(family.turn);
  });

  it('are read back, wherever the text is cut', () => {
    expect(callsIn([...family.turn], format)).toEqual(expected);
    for (let at = 0; at <= family.turn.length; at++)
      expect(callsIn([family.turn.slice(0, at), family.turn.slice(at)], format)).toEqual(expected);
  });
});
