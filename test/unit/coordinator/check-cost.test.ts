import { describe, expect, it, vi } from 'vitest';
import * as fieldErrors from '../../../coordinator/openai/field-error.js';
import { checkBody } from '../../../coordinator/openai/parameters/check-body.js';
import { MESSAGE_PARAMETERS } from '../../../coordinator/openai/parameters/message-parameters.js';
import { objectOf } from '../../../coordinator/openai/parameters/parameter.js';
import { RESPONSE_PARAMETERS } from '../../../coordinator/openai/parameters/response-parameters.js';
import { ChatRequest, ExplainRequest } from '../../../coordinator/openai/requests.js';

/** What a wrong body may cost: an error has place for one issue, so the other 32,000 wrong parts are not looked at. */

const ResponseRequest = objectOf(RESPONSE_PARAMETERS);
const MessageRequest = objectOf(MESSAGE_PARAMETERS);
const times = <T>(count: number, make: () => T) => Array.from({ length: count }, make);

/** An object that counts how often a checker looks at one of its members. */
function counted(member: object, looks: { count: number }): object {
  return new Proxy(member, {
    get: (target, name) => {
      looks.count++;
      return Reflect.get(target, name);
    },
  });
}

describe('checking a body of 32,000 wrong parts', () => {
  const wrong = { 'no members': {}, 'an unknown type': { type: 'z' }, 'a wrong text': { type: 'text', text: 1 } };
  const bodies = Object.entries(wrong).flatMap(([what, part]) =>
    (
      [
        ['chat', ChatRequest, (messages: unknown) => ({ messages })],
        ['/tokenize', ExplainRequest, (messages: unknown) => ({ messages })],
        ['responses', ResponseRequest, (input: unknown) => ({ input })],
        ['messages', MessageRequest, (messages: unknown) => ({ max_tokens: 1, messages })],
      ] as const
    ).map(([api, schema, bodyOf]) => [what, api, schema, bodyOf, part] as const),
  );

  it.each(bodies)('of %s ends with the first issue: %s', (_, __, schema, bodyOf, part) => {
    const described = vi.spyOn(fieldErrors, 'fieldError');
    const looks = { count: 0 };
    const messages = times(8, () => ({ role: 'user', content: times(4_080, () => counted(part, looks)) }));
    expect(() => checkBody(schema as typeof ChatRequest, bodyOf(messages))).toThrow(/\[0\]/);
    expect(looks.count).toBeLessThan(64);
    expect(described.mock.calls.length).toBeLessThan(16);
  });

  it('looks at the members of an item once, whichever of its kinds comes last', () => {
    const looks = { count: 0 };
    const summary = times(4_000, () => counted({ type: 'summary_text', text: 'x' }, looks));
    checkBody(ResponseRequest, { input: [{ type: 'reasoning', summary, content: 'x' }] });
    const one = looks.count;
    looks.count = 0;
    checkBody(ResponseRequest, { input: [{ type: 'reasoning', content: summary }] });
    expect(looks.count).toBe(one);
  });
});
