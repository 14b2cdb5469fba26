import { describe, expect, it } from 'vitest';
import { Unavailable } from '../../../src/errors.js';
import { saying, started } from './support/scripted-fleet.js';
import { idsOf, MODEL, modelWith, type TestServer, testServer } from './support/test-server.js';

/** Wrong and odd requests of Anthropic's Messages API. */

const TEMPLATE =
  '{% for t in tools or [] %}{{ t | tojson }}{% endfor %}{% for m in messages %}{% if m.role != "tool" %}{{ m.role }}: {{ m.content or "" }}\n{% endif %}{% endfor %}' +
  '{% if add_generation_prompt %}assistant:{% endif %}';
const USER = { role: 'user', content: 'Warm?' };
const TOOL = { name: 'f', input_schema: { type: 'object' } };

const CALL = { role: 'assistant', content: [{ type: 'tool_use', id: 't1', name: 'f', input: {} }] };
const result = (id: string, fields: object = {}) => ({
  role: 'user',
  content: [{ type: 'tool_result', tool_use_id: id, content: 'x', ...fields }],
});
const RESULT = result('t1');

async function talkative(): Promise<TestServer> {
  const server = await testServer({ model: await modelWith(TEMPLATE) });
  server.fleet.script = () => saying(idsOf(' Yes.'));
  return server;
}

function promptOf({ fleet }: TestServer): string {
  return MODEL.tokenizer.decode([...fleet.asked.at(-1)!.request.tokens], { skipSpecialTokens: false });
}

const asked = (fields: object) => ({ max_tokens: 9, messages: [USER], ...fields });
const withBlock = (block: object) => ({ messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }, block] }] });

describe('a wrong request of the Messages API', () => {
  it.each([
    [{ max_tokens: undefined }, 'max_tokens', 'is required'],
    [withBlock({ type: 'image', source: {} }), 'messages[0].content[1].type', 'the model supports text only'],
    [withBlock({ type: 'text' }), 'messages[0].content[1].text', 'is required'],
    [withBlock({ type: 'tool_result', content: 'x' }), 'messages[0].content[1].tool_use_id', 'is required'],
    [{ messages: [{ role: 'user', content: 7 }] }, 'messages[0].content', 'must be a string or an array of blocks'],
    [{ messages: [{ role: 'user' }] }, 'messages[0].content', 'is required'],
    [{ tools: [{ name: 'f' }] }, 'tools[0].input_schema', 'is required'],
    [{ tools: [TOOL], tool_choice: { type: 'tool', name: 'g' } }, 'tool_choice.name', "no tool 'g'"],
    [
      { tools: [{ ...TOOL, input_schema: { not: {} } }], tool_choice: { type: 'any' } },
      'tools',
      'f: input_schema: not: cannot be honoured',
    ],
    [
      { messages: [USER, CALL, RESULT, RESULT, USER, USER, result('t2')] },
      'messages[6].content[0].tool_use_id',
      'no tool_use',
    ],
    [
      { messages: [USER, CALL, RESULT, { role: 'assistant', content: 'Yes.' }, RESULT] },
      'messages[4].content[0].tool_use_id',
      'no tool_use',
    ],
    [
      withBlock({ type: 'tool_result', tool_use_id: 't1', content: 'x' }),
      'messages[0].content[1].tool_use_id',
      'no tool_use',
    ],
  ])('%j gets an error that names %s', async (fields, param, message) => {
    const { post } = await talkative();
    const answer = await post('/v1/messages', asked(fields));
    const body = (await answer.json()) as { error: { message: string } };
    expect([answer.status, body]).toMatchObject([
      400,
      {
        type: 'error',
        error: { type: 'invalid_request_error', param },
        request_id: answer.headers.get('x-request-id'),
      },
    ]);
    expect(body.error.message).toContain(`${param}: `);
    expect(body.error.message).toContain(message);
  });

  it('says where the chat template makes no text of the messages', async () => {
    const { post } = await testServer({
      model: await modelWith('{% for m in messages %}{% if m.role == "user" %}{{ m.content }}{% endif %}{% endfor %}'),
    });
    const answer = await post('/v1/messages', asked({ messages: [CALL, RESULT] }));
    expect([answer.status, await answer.json()]).toMatchObject([
      400,
      { error: { param: 'messages', message: expect.stringContaining("the model's chat template makes no text of") } },
    ]);
  });

  it('lets Anthropic’s SDK go on without a thread', async () => {
    const { post } = await talkative();
    const answer = await post('/v1/messages', asked({ thread: { type: 'new' } }));
    expect([answer.status, await answer.json()]).toMatchObject([
      400,
      { error: { param: 'thread', details: { error_code: 'thread_unsupported_request', unsupported: ['thread'] } } },
    ]);
  });

  it('has the type of Anthropic’s API for its status, also at the end of a stream', async () => {
    const { post, fleet, url } = await talkative();
    const unknown = await post('/v1/messages', asked({ model: 'other' }));
    expect([unknown.status, await unknown.json()]).toMatchObject([
      404,
      { type: 'error', error: { type: 'not_found_error' } },
    ]);
    fleet.script = async function* () {
      yield started();
      yield { type: 'tokens', ids: idsOf(' Yes') };
      throw new Unavailable('all workers are gone');
    };
    const stream = await (await post('/v1/messages', asked({ stream: true }))).text();
    const [name, data] = stream.trimEnd().split('\n').slice(-2);
    expect(name).toBe('event: error');
    expect(JSON.parse(data!.slice('data: '.length))).toEqual({
      type: 'error',
      error: { type: 'overloaded_error', message: 'all workers are gone', param: null, code: 'unavailable' },
      request_id: expect.any(String),
    });
    expect(await (await fetch(`${url}/v1/messages`)).json()).toMatchObject({ type: 'error' });
  });
});

describe('an odd request of the Messages API', () => {
  it('has texts that follow each other as one, so that roles alternate', async () => {
    const server = await talkative();
    const texts = ['a', 'b'].map((text) => ({ type: 'text', text }));
    await server.post(
      '/v1/messages',
      asked({ messages: [{ role: 'user', content: texts }, USER, { role: 'assistant', content: texts }, USER] }),
    );
    expect(promptOf(server)).toBe('user: a\nb\nWarm?\nassistant: a\nb\nuser: Warm?\nassistant:');
  });

  it('may end with an empty message of the assistant, which is begun', async () => {
    const server = await talkative();
    const answer = await server.post('/v1/messages', asked({ messages: [USER, { role: 'assistant', content: '' }] }));
    expect([answer.status, promptOf(server)]).toEqual([200, 'user: Warm?\nassistant:']);
  });

  it.each([
    [{ is_error: true }, 'Error: x'],
    [{ is_error: true, content: undefined }, 'Error'],
    [{ is_error: true, content: [{ type: 'text', text: 'error: no such city' }] }, 'error: no such city'],
    [{ is_error: false }, 'x'],
    [{ is_error: null }, 'x'],
  ])('shows the model whether a tool failed: %j', async (fields, shown) => {
    const { post, fleet } = await testServer({
      model: await modelWith('{% for m in messages %}[{{ m.role }}:{{ m.content or "" }}]{% endfor %}'),
    });
    fleet.script = () => saying(idsOf(' Yes.'));
    const answer = await post('/v1/messages', asked({ messages: [USER, CALL, result('t1', fields)] }));
    expect(answer.status).toBe(200);
    expect(MODEL.tokenizer.decode([...fleet.asked[0]!.request.tokens], { skipSpecialTokens: false })).toBe(
      `[user:Warm?][assistant:][tool:${shown}]`,
    );
  });
});
