import OpenAI, { BadRequestError } from 'openai';
import { describe, expect, it } from 'vitest';
import { RESPONSE_PARAMETERS } from '../../../coordinator/openai/parameters/response-parameters.js';
import { Unavailable } from '../../../src/errors.js';
import { collect } from './support/collect.js';
import { saying, started } from './support/scripted-fleet.js';
import { idsOf, MODEL, modelWith, type TestServer, testServer } from './support/test-server.js';

const TEMPLATE =
  '{% for t in tools or [] %}{{ t | tojson }}{{ "\\n" }}{% endfor %}{% for m in messages %}{{ m.role }}: {{ m.reasoning_content or "" }}{{ m.content or "" }}' +
  '{% for c in m.tool_calls or [] %}<tool_call>{{ c.id }} {{ c.function.name }} {{ c.function.arguments | tojson }}</tool_call>{% endfor %}' +
  '{% if m.tool_call_id %} for {{ m.tool_call_id }}{% endif %}{{ "\\n" }}{% endfor %}{{ "" if true else "</think>" }}';
const WEATHER = {
  type: 'function' as const,
  name: 'get_weather',
  strict: true,
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const CALL = '<tool_call>{"name": "get_weather", "arguments": {"city": "Rome"}}</tool_call>';

async function withSdk(answer: string, reason: 'stop' | 'length' = 'stop'): Promise<TestServer & { openai: OpenAI }> {
  const server = await testServer({ model: await modelWith(TEMPLATE) });
  server.fleet.script = () => saying(idsOf(answer), { reason });
  return Object.assign(server, { openai: new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 }) });
}

function promptOf({ fleet }: TestServer): string {
  return MODEL.tokenizer.decode([...fleet.asked.at(-1)!.request.tokens], { skipSpecialTokens: false });
}

describe('the Responses API, with OpenAI’s SDK', () => {
  it('answers a text', async () => {
    const server = await withSdk('<think>Hm.</think> Yes.');
    const answer = await server.openai.responses.create({ model: 'recall', instructions: 'Be brief.', input: 'Warm?' });
    expect(answer).toMatchObject({
      object: 'response',
      status: 'completed',
      output_text: 'Yes.',
      store: true,
      instructions: 'Be brief.',
      output: [
        { type: 'reasoning', content: [{ type: 'reasoning_text', text: 'Hm.' }] },
        { type: 'message', role: 'assistant', status: 'completed' },
      ],
      usage: { input_tokens_details: { cached_tokens: 96 }, output_tokens: idsOf('<think>Hm.</think> Yes.').length },
      shoal: { worker: 'w1' },
    });
    const reasoning = answer.usage!.output_tokens_details.reasoning_tokens;
    expect(reasoning).toBeGreaterThanOrEqual(idsOf('Hm.').length);
    expect(reasoning).toBeLessThan(answer.usage!.output_tokens);
    expect(answer.id).toMatch(/^resp_/);
    expect(promptOf(server)).toBe('system: Be brief.\nuser: Warm?\n');
  });

  it('streams items, parts and texts, as the SDK assembles them', async () => {
    const { openai } = await withSdk('<think>Hm.</think> Yes.');
    const stream = openai.responses.stream({ model: 'recall', input: 'Warm?' });
    const events = await collect(stream);
    expect(events.map(({ type }) => type).filter((type, i, all) => type !== all[i - 1])).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.reasoning_text.delta',
      'response.reasoning_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ]);
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, i) => i));
    const parts = events.filter(({ type }) => type === 'response.content_part.added');
    expect(parts).toMatchObject([{ part: { text: '' } }, { part: { text: '' } }]);
    expect((await stream.finalResponse()).output_text).toBe('Yes.');
  });

  it('says of the last item of an answer that was cut that it is incomplete, in events too', async () => {
    const { openai } = await withSdk(CALL, 'length');
    const events = await collect(openai.responses.stream({ model: 'recall', input: 'Warm?', tools: [WEATHER] }));
    const done = events.filter(({ type }) => type === 'response.output_item.done');
    expect(done).toMatchObject([{ item: { type: 'function_call', status: 'incomplete' } }]);
    expect(events.at(-1)).toMatchObject({ response: { output: [{ status: 'incomplete' }] } });
  });

  it('calls functions, streamed and whole, and takes their results', async () => {
    const server = await withSdk(CALL);
    const asked = { model: 'recall', input: 'Warm?', tools: [WEATHER] };
    const whole = await server.openai.responses.create(asked);
    const call = {
      type: 'function_call',
      name: 'get_weather',
      arguments: '{"city": "Rome"}',
      call_id: expect.any(String),
    };
    expect(whole.output).toMatchObject([call]);
    const stream = server.openai.responses.stream(asked);
    const added = (await collect(stream)).filter(({ type }) => type === 'response.output_item.added');
    expect(added).toMatchObject([{ item: { ...call, arguments: '' } }]);
    expect((await stream.finalResponse()).output).toMatchObject([call]);
    const [{ call_id }] = whole.output as [OpenAI.Responses.ResponseFunctionToolCall];
    await server.openai.responses.create({
      ...asked,
      input: [
        { role: 'user', content: [{ type: 'input_text', text: 'Warm?' }] },
        { type: 'reasoning', id: 'x', summary: [], content: [{ type: 'reasoning_text', text: 'Hm.' }] },
        { type: 'function_call', call_id, name: 'get_weather', arguments: '{"city": "Rome"}' },
        { type: 'function_call_output', call_id, output: '19 C' },
      ],
    });
    expect(promptOf(server)).toContain(
      `user: Warm?\nassistant: Hm.<tool_call>${call_id} get_weather {"city": "Rome"}</tool_call>\ntool: 19 C for ${call_id}\n`,
    );
  });

  it('constrains text.format and tool_choice required', async () => {
    const { openai, fleet } = await withSdk('{"a":1}');
    const schema = {
      type: 'object',
      properties: { a: { type: 'integer' } },
      required: ['a'],
      additionalProperties: false,
    };
    const format = { type: 'json_schema' as const, name: 'x', schema, strict: true };
    await openai.responses.create({ model: 'recall', input: 'x', text: { format } });
    await openai.responses.create({ model: 'recall', input: 'x', tools: [WEATHER], tool_choice: 'required' });
    // As instructor asks: the answer is a call, and has no text of the format.
    const both = { tools: [WEATHER], tool_choice: 'required' as const, text: { format } };
    await openai.responses.create({ model: 'recall', input: 'x', ...both });
    const [, calls, callsToo] = fleet.asked.map(({ request }) => request.sampling.constraint);
    expect(callsToo).toEqual(calls);
    expect(
      fleet.asked.map(({ request }) => request.sampling.constraint?.length ?? 0).every((length) => length > 0),
    ).toBe(true);
  });

  it('marks a call as incomplete whose arguments are no object', async () => {
    const { openai } = await withSdk(CALL.slice(0, -16));
    const asked = { model: 'recall', input: 'Warm?', tools: [{ ...WEATHER, strict: false }] };
    const { output } = await openai.responses.create(asked);
    expect(output).toMatchObject([{ type: 'function_call', name: 'get_weather', status: 'incomplete' }]);
  });

  it('is incomplete at the maximum length', async () => {
    const { openai, fleet } = await withSdk(' Yes', 'length');
    const answer = await openai.responses.create({ model: 'recall', input: 'x', max_output_tokens: 9 });
    expect(answer).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
    expect(fleet.asked[0]!.request.stopping.maxTokens).toBe(9);
    const events = await collect(openai.responses.stream({ model: 'recall', input: 'x' }));
    expect(events.at(-1)!.type).toBe('response.incomplete');
  });

  it('reports errors before and in the middle of a stream', async () => {
    const { openai, fleet } = await withSdk('');
    fleet.script = async function* () {
      yield started();
      yield { type: 'tokens', ids: idsOf(' the') };
      throw new Unavailable('the last worker is gone');
    };
    await expect(collect(await openai.responses.create({ model: 'recall', input: 'x', stream: true }))).rejects.toThrow(
      'the last worker is gone',
    );
    fleet.script = async function* () {
      yield started();
      throw new Unavailable('no worker is serving');
    };
    await expect(openai.responses.create({ model: 'recall', input: 'x', stream: true })).rejects.toMatchObject({
      status: 503,
    });
  });

  it.each([
    [{ background: true }, 'background', /is not supported/],
    [{ tools: [{ type: 'web_search' }] }, 'tools[0].type', /must be "function"/],
    [{ input: [{ type: 'image', id: 'x' }] }, 'input[0].type', /must be a message/],
    [{ include: ['file_search_call.results'] }, 'include[0]', /must be one of/],
    [{ input: [] }, 'input', /must not be empty/],
    [{ input: '' }, 'input', /must not be empty/],
    [{ input: 'a', max_new_tokens: 8 }, 'max_new_tokens', /use max_output_tokens/],
    [{ input: 'a', thinking: {} }, 'thinking', /chat\/completions/],
    [{ reasoning: { effort: 'low' } }, 'reasoning.effort', /has no variable/],
  ])('refuses by name what it cannot do: %j', async (fields, param, message) => {
    const { openai } = await withSdk('x');
    const asked = { model: 'recall', input: 'x', ...fields } as OpenAI.Responses.ResponseCreateParamsNonStreaming;
    const error = await openai.responses.create(asked).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(BadRequestError);
    expect(error).toMatchObject({ param, message: expect.stringMatching(message) });
  });

  it('lists names that nobody knows', async () => {
    const { post } = await withSdk(' x');
    const answer = await (await post('/v1/responses', { input: 'x', temprature: 1 })).json();
    expect(answer).toMatchObject({ shoal: { ignored: ['temprature'] } });
    expect('previous_response_id' in RESPONSE_PARAMETERS).toBe(true);
  });
});
