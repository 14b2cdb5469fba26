import { describe, expect, it, vi } from 'vitest';
import { ConstraintMachine } from '../../../src/core/constraint/machine.js';
import { Unavailable } from '../../../src/errors.js';
import { allows } from '../core/constraint/support.js';
import { saying, started } from './support/scripted-fleet.js';
import { idsOf, MODEL, modelWith, type TestServer, testServer } from './support/test-server.js';

const TEMPLATE =
  '{% for t in tools or [] %}{{ t.function.name }} {{ t.function.parameters | tojson }}{{ "\\n" }}{% endfor %}{% for m in messages %}{{ m.role }}: {{ m.reasoning_content or "" }}{{ m.content or "" }}' +
  '{% for c in m.tool_calls or [] %}<tool_call>{{ c.id }} {{ c.function.name }} {{ c.function.arguments | tojson }}</tool_call>{% endfor %}' +
  '{% if m.tool_call_id %} for {{ m.tool_call_id }}{% endif %}{{ "\\n" }}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}{{ "" if true else "</think>" }}';
const USER = [{ role: 'user', content: 'Warm?' }];
const WEATHER = {
  name: 'get_weather',
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>';

async function serverSaying(answer: string): Promise<TestServer> {
  const server = await testServer({ model: await modelWith(TEMPLATE) });
  server.fleet.script = () => saying(idsOf(answer));
  return server;
}

const asked = (fields: object = {}) => ({ model: 'recall', max_tokens: 50, messages: USER, ...fields });

async function whole({ post }: TestServer, fields: object = {}): Promise<Record<string, unknown>> {
  const answer = await post('/v1/messages', asked(fields), { 'anthropic-version': '2023-06-01' });
  expect(answer.status).toBe(200);
  return (await answer.json()) as Record<string, unknown>;
}

/** The events of a stream: name and data. */
async function eventsOf({ post }: TestServer, fields: object = {}): Promise<[string, Record<string, unknown>][]> {
  const answer = await post('/v1/messages', asked({ ...fields, stream: true }));
  const blocks = (await answer.text()).split('\n\n').filter((block) => block !== '');
  return blocks.map((block) => {
    const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(block)!;
    return [name!, JSON.parse(data!) as Record<string, unknown>];
  });
}

function promptOf({ fleet }: TestServer): string {
  return MODEL.tokenizer.decode([...fleet.asked.at(-1)!.request.tokens], { skipSpecialTokens: false });
}

describe('the Messages API', () => {
  it('answers a conversation with thinking and text', async () => {
    const server = await serverSaying('<think>Hm.</think> Yes.');
    expect(
      await whole(server, { system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }] }),
    ).toMatchObject({
      type: 'message',
      role: 'assistant',
      model: 'recall',
      content: [
        { type: 'thinking', thinking: 'Hm.' },
        { type: 'text', text: 'Yes.' },
      ],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: { cache_read_input_tokens: 96, output_tokens: idsOf('<think>Hm.</think> Yes.').length },
    });
    expect(promptOf(server)).toBe('system: Be brief.\nuser: Warm?\nassistant:');
    expect(server.fleet.asked[0]!.request.stopping.maxTokens).toBe(50);
  });

  it('streams blocks', async () => {
    const events = await eventsOf(await serverSaying(`<think>Hm.</think>I look.\n${CALL}`), { tools: [WEATHER] });
    expect(events.map(([name]) => name).filter((name, i, all) => name !== all[i - 1])).toEqual([
      'message_start',
      ...['content_block_start', 'content_block_delta', 'content_block_stop'],
      ...['content_block_start', 'content_block_delta', 'content_block_stop'],
      ...['content_block_start', 'content_block_delta', 'content_block_stop'],
      'message_delta',
      'message_stop',
    ]);
    expect(events.every(([name, { type }]) => name === type)).toBe(true);
    const starts = events.filter(([name]) => name === 'content_block_start').map(([, data]) => data.content_block);
    expect(starts).toMatchObject([
      { type: 'thinking', thinking: '' },
      { type: 'text', text: '' },
      { type: 'tool_use', name: 'get_weather', input: {}, id: expect.any(String) },
    ]);
    const deltas = events.map(([, { delta }]) => (delta ?? {}) as Record<string, string>);
    expect(deltas.map((delta) => delta.partial_json ?? '').join('')).toBe('{"city": "Rome"}');
    expect(deltas.map((delta) => delta.text ?? '').join('')).toBe('I look.');
    expect(deltas.map((delta) => delta.thinking ?? '').join('')).toBe('Hm.');
    expect(events.at(-2)![1]).toMatchObject({
      delta: { stop_reason: 'tool_use' },
      usage: { output_tokens: expect.any(Number) },
    });
  });

  it('has its blocks in the order of the answer, however many tokens come at once', async () => {
    const server = await serverSaying('');
    const ids = idsOf(`I look.\n${CALL}\nDone.`);
    server.fleet.script = async function* () {
      yield started();
      yield { type: 'tokens', ids };
      yield { type: 'end', reason: 'stop', token: null };
    };
    expect(await whole(server, { tools: [WEATHER] })).toMatchObject({
      content: [
        { type: 'text', text: 'I look.' },
        { type: 'tool_use', name: 'get_weather' },
        { type: 'text', text: 'Done.' },
      ],
    });
  });

  it('calls tools, by choice or because it must, and takes their results', async () => {
    const server = await serverSaying(CALL);
    const answer = await whole(server, {
      tools: [WEATHER],
      tool_choice: { type: 'any', disable_parallel_tool_use: true },
    });
    expect(answer).toMatchObject({
      content: [{ type: 'tool_use', name: 'get_weather', input: { city: 'Rome' } }],
      stop_reason: 'tool_use',
    });
    const { constraint } = server.fleet.asked[0]!.request.sampling;
    const machine = new ConstraintMachine(new Uint16Array(constraint!.slice().buffer), 2 ** 20);
    expect([allows(machine, CALL), allows(machine, `${CALL}\n${CALL}`)]).toEqual([true, false]);
    await whole(server, {
      tools: [WEATHER],
      messages: [
        ...USER,
        { role: 'assistant', content: [{ type: 'tool_use', id: 't1', name: 'get_weather', input: { city: 'Rome' } }] },
        {
          role: 'user',
          content: [{ type: 'tool_result', tool_use_id: 't1', content: [{ type: 'text', text: '19 C' }] }],
        },
      ],
    });
    expect(promptOf(server)).toContain('<tool_call>t1 get_weather {"city": "Rome"}</tool_call>\ntool: 19 C for t1');
  });

  it('has no call that a stop sequence or the maximum cut', async () => {
    const tools = [WEATHER];
    const server = await serverSaying(`${CALL}\n${CALL.replace('Rome', 'Oslo')}`);
    const asked = { tools, tool_choice: { type: 'any' } };
    const first = { type: 'tool_use', name: 'get_weather', input: { city: 'Rome' } };
    for (const [sequence, content] of [
      ['om', []],
      ['lo', [first]],
    ] as const)
      expect(await whole(server, { ...asked, stop_sequences: [sequence] })).toMatchObject({
        ...{ content, stop_reason: 'stop_sequence', stop_sequence: sequence },
      });
    const events = await eventsOf(server, { ...asked, stop_sequences: ['om'] });
    expect(events.at(-2)![1].delta).toEqual({ stop_reason: 'stop_sequence', stop_sequence: 'om' });
    server.fleet.script = () => saying(idsOf(CALL.slice(0, -20)), { reason: 'length' });
    expect(await whole(server, asked)).toMatchObject({ content: [], stop_reason: 'max_tokens' });
  });

  it('has a structured output, under both names, and the effort for the template', async () => {
    const schema = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] };
    const format = { type: 'json_schema', schema };
    for (const fields of [{ output_config: { format } }, { output_format: format }]) {
      const server = await serverSaying('{"a": 1}');
      expect(await whole(server, fields)).toMatchObject({ content: [{ type: 'text', text: '{"a": 1}' }] });
      const { constraint } = server.fleet.asked[0]!.request.sampling;
      const machine = new ConstraintMachine(new Uint16Array(constraint!.slice().buffer), 2 ** 20);
      expect([allows(machine, '{"a": 1}'), allows(machine, '{"a": 1, "b": 2}')]).toEqual([true, false]);
    }
    const server = await serverSaying(' Yes.');
    for (const [fields, param] of [
      [{ output_config: { format }, output_format: format }, 'output_format'],
      [{ output_config: { format: { type: 'grammar' } } }, 'output_config.format.type'],
      [{ output_config: { other: 1 } }, 'output_config'],
      [{ output_config: { format: { ...format, schema: { not: {} } } } }, 'output_config.format.schema'],
      [{ output_config: { effort: 'max' } }, 'output_config.effort'],
    ] as const) {
      const answer = await server.post('/v1/messages', asked(fields));
      expect([param, answer.status, await answer.json()]).toMatchObject([param, 400, { error: { param } }]);
    }
    const thinking = await testServer({ model: await modelWith(`${TEMPLATE}{{ reasoning_effort }}`) });
    thinking.fleet.script = () => saying(idsOf(' Yes.'));
    await whole(thinking, { output_config: { effort: 'max' } });
    expect(promptOf(thinking)).toContain('xhigh');
  });

  it('has the arguments of their schema for strict tools', async () => {
    const server = await serverSaying(CALL);
    await whole(server, { tools: [{ ...WEATHER, strict: true }] });
    const { constraint } = server.fleet.asked[0]!.request.sampling;
    const machine = new ConstraintMachine(new Uint16Array(constraint!.slice().buffer), 2 ** 20);
    expect([allows(machine, CALL), allows(machine, CALL.replace('"Rome"', '7'))]).toEqual([true, false]);
  });

  it('continues a last message of the assistant, and stops at stop sequences', async () => {
    const server = await serverSaying(' warm. And wet.');
    const messages = [...USER, { role: 'assistant', content: 'It is' }];
    expect(await whole(server, { messages, stop_sequences: ['.'] })).toMatchObject({
      content: [{ type: 'text', text: ' warm' }],
      stop_reason: 'stop_sequence',
      stop_sequence: '.',
    });
    expect(promptOf(server)).toBe('user: Warm?\nassistant: It is');
  });

  it('keeps what cache_control marks, and counts what it put into the cache', async () => {
    const server = await serverSaying(' x');
    const notes = 'The amber key is in the harbor. '.repeat(16);
    const control = (ttl?: string) => ({ cache_control: { type: 'ephemeral', ...(ttl ? { ttl } : {}) } });
    const system = [
      { type: 'text', text: notes, ...control('1h') },
      { type: 'text', text: 'Be brief.' },
    ];
    const messages = [{ role: 'user', content: [{ type: 'text', text: 'Warm?'.repeat(30), ...control() }] }];
    const { usage } = (await whole(server, { system, messages })) as { usage: Record<string, number> };
    const { tokens } = server.fleet.asked[0]!.request;
    const blocks = (text: string) => {
      const count = idsOf(text).length;
      return count - (count % 64);
    };
    const [long, all] = [blocks(`system: ${notes}`), tokens.length - (tokens.length % 64)];
    await vi.waitFor(() => expect(server.retentions.orders.length).toBe(2));
    expect(server.retentions.orders.map(({ tokens: kept, ttlMs, mark }) => [kept.length, ttlMs, mark])).toEqual([
      [long, 3_600_000, { name: null }],
      [all, 300_000, { name: null }],
    ]);
    expect(server.retentions.orders[0]!.tokens).toEqual(tokens.slice(0, long));
    expect(usage).toMatchObject({
      input_tokens: tokens.length - all,
      cache_read_input_tokens: 96,
      cache_creation_input_tokens: all - 96,
      cache_creation: { ephemeral_1h_input_tokens: long - 96, ephemeral_5m_input_tokens: all - long },
    });
    await whole(server, { system: notes });
    await whole(server, { system: notes.repeat(2), ...control() });
    await vi.waitFor(() => expect(server.retentions.orders.length).toBe(3));
    const wrong = await server.post('/v1/messages', asked({ cache_control: { type: 'ephemeral', ttl: '1d' } }));
    expect([wrong.status, await wrong.json()]).toMatchObject([400, { error: { param: 'cache_control.ttl' } }]);
  });

  it('keeps the prompts of two salts apart', async () => {
    const server = await serverSaying('Yes.');
    for (const cache_salt of ['a', 'b', 'a']) await whole(server, { cache_salt });
    const [first, second, third] = server.fleet.asked.map(({ request }) => request.salt);
    expect(second).not.toEqual(first);
    expect(third).toEqual(first);
  });

  it('reports an error in the middle of a stream as an event', async () => {
    const server = await serverSaying('');
    server.fleet.script = async function* () {
      yield started();
      yield { type: 'tokens', ids: idsOf(' the') };
      throw new Unavailable('the last worker is gone');
    };
    const events = await eventsOf(server);
    expect(events.at(-1)).toMatchObject(['error', { type: 'error', error: { message: 'the last worker is gone' } }]);
  });

  it.each([
    [{ max_tokens: undefined }, 'max_tokens'],
    [{ thinking: { type: 'always' } }, 'thinking'],
    [{ messages: [{ role: 'user', content: [{ type: 'image', source: {} }] }] }, 'messages[0].content'],
    [{ tools: [{ type: 'bash_20250124', name: 'bash' }] }, 'tools[0].type'],
    [{ tool_choice: { type: 'any' } }, 'tool_choice'],
    [{ messages: [] }, 'messages'],
  ])('refuses by name what it cannot do: %j', async (fields, param) => {
    const { post } = await serverSaying('x');
    const answer = await post('/v1/messages', asked(fields));
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { param: expect.stringContaining(param) } });
  });

  it('counts the tokens of a prompt', async () => {
    const server = await serverSaying(' x');
    await whole(server, { system: 'Be brief.', tools: [WEATHER] });
    const { max_tokens: _, ...counted } = asked({ system: 'Be brief.', tools: [WEATHER] });
    const answer = await server.post('/v1/messages/count_tokens', counted);
    const { length } = server.fleet.asked[0]!.request.tokens;
    expect([answer.status, await answer.json()]).toEqual([200, { input_tokens: length }]);
  });

  it('takes the key as Anthropic’s clients send it', async () => {
    const key = 'k'.repeat(32);
    const { post, fleet } = await testServer({ apiKeys: [key], model: await modelWith(TEMPLATE) });
    fleet.script = () => saying(idsOf(' x'));
    expect((await post('/v1/messages', asked())).status).toBe(401);
    expect((await post('/v1/messages', asked(), { 'x-api-key': key })).status).toBe(200);
  });
});
