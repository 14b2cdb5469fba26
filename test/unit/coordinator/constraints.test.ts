import { describe, expect, it } from 'vitest';
import { ConstraintMachine } from '../../../src/core/constraint/machine.js';
import { allows } from '../core/constraint/support.js';
import { saying } from './support/scripted-fleet.js';
import { idsOf, type TestServer, testServer } from './support/test-server.js';

const SCHEMA = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] };
const USER = [{ role: 'user', content: 'hello' }];

async function serverThatAnswers(): Promise<TestServer> {
  const server = await testServer();
  server.fleet.script = () => saying(idsOf(' yes'));
  return server;
}

/** Whether the workers were told to allow a text. */
function told({ fleet }: TestServer, text: string): boolean {
  const { constraint } = fleet.asked.at(-1)!.request.sampling;
  return allows(new ConstraintMachine(new Uint16Array(constraint!.slice().buffer), 2 ** 20), text);
}

describe('structured outputs', () => {
  it.each([
    [{ response_format: { type: 'json_object' } }, '{"b":[1]}', '[]'],
    [{ response_format: { type: 'json_object', schema: { required: ['zz'] } } }, '{"zz":1}', '{}'],
    [{ response_format: { type: 'json_schema', json_schema: { name: 'x', schema: SCHEMA } } }, '{"a":1,"b":2}', '{}'],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'x', strict: true, schema: SCHEMA } } },
      '{"a":1}',
      '{"a":1,"b":2}',
    ],
    [{ structured_outputs: { json: SCHEMA } }, '{"a": 1}', '{"a":1,"b":2}'],
    [{ structured_outputs: { json: JSON.stringify(SCHEMA) } }, '{"a": 1}', '{}'],
    [{ structured_outputs: { regex: 'a+' } }, 'aa', 'b'],
    [{ structured_outputs: { choice: ['x', 'y'] } }, 'y', 'z'],
    [{ structured_outputs: { json_object: true } }, '{}', '1'],
    [{ guided_json: SCHEMA }, '{"a":1}', '{}'],
    [{ guided_regex: '\\d' }, '7', 'x'],
    [{ guided_choice: ['no'] }, 'no', 'yes'],
    [{ guided_grammar: 'root ::= "(" root ")" | "x"' }, '((x))', '((x)'],
    [{ structured_outputs: { grammar: 'start: "a" start | "b"' } }, 'aab', 'aa'],
  ])('reach the workers, in chats and completions: %j', async (fields, right, wrong) => {
    const server = await serverThatAnswers();
    for (const [path, least] of [
      ['/v1/chat/completions', { messages: USER }],
      ['/v1/completions', { prompt: 'the' }],
    ] as const) {
      expect((await server.post(path, { ...least, ...fields })).status).toBe(200);
      expect([told(server, right), told(server, wrong)]).toEqual([true, false]);
    }
  });

  it('end at a stop string before they are complete, and say so', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying(idsOf('{"a": 1, "b": 2}'));
    const body = { messages: USER, stop: '"b"', response_format: { type: 'json_object' } };
    const { choices } = (await (await post('/v1/chat/completions', body)).json()) as { choices: object[] };
    expect(choices[0]).toMatchObject({ finish_reason: 'stop', stop_reason: '"b"', message: { content: '{"a": 1, ' } });
    expect(fleet.asked[0]!.request.sampling).toHaveProperty('constraint');
  });

  it.each([[{ response_format: { type: 'text' } }], [{ structured_outputs: null }], [{ response_format: null }]])(
    'are none for %j',
    async (fields) => {
      const server = await serverThatAnswers();
      expect((await server.post('/v1/completions', { prompt: 'the', ...fields })).status).toBe(200);
      expect(server.fleet.asked[0]!.request.sampling).not.toHaveProperty('constraint');
    },
  );

  it.each([
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { not: {} } } } },
      'response_format.json_schema.schema',
      /not: cannot be honoured/,
    ],
    [{ response_format: { type: 'json_schema' } }, 'response_format.json_schema', /required/],
    [{ response_format: { type: 'xml' } }, 'response_format.type', /must have the type/],
    [{ guided_regex: '(' }, 'guided_regex', /lacks a/],
    [{ guided_json: '{' }, 'guided_json', /must be a JSON Schema/],
    [{ guided_json: { $ref: 'https://example.com' } }, 'guided_json', /\$ref/],
    [{ guided_choice: [] }, 'guided_choice', /must not be empty/],
    [{ guided_grammar: 'root ::= root' }, 'guided_grammar', /'root' may begin with itself/],
    [{ structured_outputs: { grammar: 'x' } }, 'structured_outputs.grammar', /lacks the head of a rule.*line 1/],
    [{ structured_outputs: { structural_tag: {} } }, 'structured_outputs.structural_tag', /is not supported/],
    [{ guided_regex: 'a', guided_choice: ['a'] }, 'guided_choice', /cannot be combined with guided_regex/],
    [{ guided_regex: 'a', ignore_eos: true }, 'ignore_eos', /cannot be combined/],
    [{ structured_outputs: {} }, 'structured_outputs', /must have one of json.* got none/],
    [
      { structured_outputs: { json: null, json_object: false } },
      'structured_outputs',
      /must have one of json.* got none/,
    ],
    [{ structured_outputs: { regexp: 'a' } }, 'structured_outputs', /regexp/],
    [{ structured_outputs: { regex: 'a', backend: 'x' } }, 'structured_outputs', /backend/],
    [{ guided_regex: 'a', stop_token_ids: [1] }, 'stop_token_ids', /cannot be combined/],
    [{ guided_regex: 'a', min_tokens: 1 }, 'min_tokens', /cannot be combined/],
    [{ guided_json: { description: 'x'.repeat(300_000) } }, 'guided_json', /at most 262144 characters/],
  ])('that cannot be honoured are a 400: %j', async (fields, param, message) => {
    const { post } = await serverThatAnswers();
    const answer = await post('/v1/completions', { prompt: 'the', ...fields });
    expect(answer.status).toBe(400);
    const { error } = (await answer.json()) as { error: { param: string; message: string } };
    expect(error.param).toBe(param);
    expect(error.message).toMatch(message);
  });
});
