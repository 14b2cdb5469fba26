import OpenAI, { NotFoundError } from 'openai';
import { describe, expect, it } from 'vitest';
import { ResponseStore, STORED_RESPONSE_BYTES } from '../../../coordinator/responses/response-store.js';
import { SystemClock } from '../../../src/clock.js';
import { Overloaded } from '../../../src/errors.js';
import { createLog } from '../../../src/log.js';
import { collect } from './support/collect.js';
import { MemoryObjects } from './support/memory-objects.js';
import { saying } from './support/scripted-fleet.js';
import { idsOf, MODEL, modelWith, type TestServer, testServer } from './support/test-server.js';

const TEMPLATE =
  '{% for m in messages %}{{ m.role }}: {{ m.content or "" }}' +
  '{% for c in m.tool_calls or [] %}<tool_call>{{ c.id }} {{ c.function.name }} {{ c.function.arguments | tojson }}</tool_call>{% endfor %}' +
  '{% if m.tool_call_id %} for {{ m.tool_call_id }}{% endif %}{{ "\\n" }}{% endfor %}{{ tools | tojson if tools else "" }}';
const GO = { type: 'function' as const, name: 'go', strict: false, parameters: { type: 'object', properties: {} } };
const CALL = '<tool_call>{"name": "go", "arguments": {}}</tool_call>';

type Sdk = TestServer & { openai: OpenAI };

async function withSdk(options: Parameters<typeof testServer>[0] = {}, key = 'none'): Promise<Sdk> {
  const server = await testServer({ model: await modelWith(TEMPLATE), ...options });
  server.fleet.script = () => saying(idsOf(' Yes.'));
  return Object.assign(server, { openai: sdkOf(server, key) });
}

const sdkOf = ({ url }: TestServer, apiKey: string) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });

function promptOf({ fleet }: TestServer): string {
  return MODEL.tokenizer.decode([...fleet.asked.at(-1)!.request.tokens], { skipSpecialTokens: false });
}

describe('stored responses, with OpenAI’s SDK', () => {
  it('continues the conversation of an earlier response, without its instructions', async () => {
    const server = await withSdk();
    const { openai } = server;
    const first = await openai.responses.create({ model: 'recall', instructions: 'Be brief.', input: 'Warm?' });
    const previous_response_id = first.id;
    const second = await openai.responses.create({ model: 'recall', previous_response_id, input: 'Wet?' });
    expect(promptOf(server)).toBe('user: Warm?\nassistant:  Yes.\nuser: Wet?\n');
    expect(second).toMatchObject({ previous_response_id, store: true });
    // Another branch of the first one, and a third turn.
    await openai.responses.create({ model: 'recall', previous_response_id, input: 'Cold?' });
    expect(promptOf(server)).toBe('user: Warm?\nassistant:  Yes.\nuser: Cold?\n');
    await openai.responses.create({ model: 'recall', previous_response_id: second.id, input: 'Dry?' });
    expect(promptOf(server)).toBe('user: Warm?\nassistant:  Yes.\nuser: Wet?\nassistant:  Yes.\nuser: Dry?\n');
  });

  it('takes the result of a call, and references to items', async () => {
    const server = await withSdk();
    const { openai, fleet } = server;
    fleet.script = () => saying(idsOf(CALL));
    const stream = openai.responses.stream({ model: 'recall', input: 'Warm?', tools: [GO] });
    const called = await stream.finalResponse();
    const { call_id, id } = called.output[0] as OpenAI.Responses.ResponseFunctionToolCall;
    const output = { type: 'function_call_output' as const, call_id, output: '19 C' };
    const asked = { model: 'recall', tools: [GO] };
    await openai.responses.create({ ...asked, previous_response_id: called.id, input: [output] });
    const prompt = promptOf(server);
    expect(prompt).toContain(
      `user: Warm?\nassistant: <tool_call>${call_id} go {}</tool_call>\ntool: 19 C for ${call_id}\n`,
    );
    await openai.responses.create({
      ...asked,
      input: [{ role: 'user', content: 'Warm?' }, { type: 'item_reference', id: id! }, output],
    });
    expect(promptOf(server)).toBe(prompt);
  });

  it('gives a stored response as it was answered, and deletes it', async () => {
    const { openai } = await withSdk();
    const answer = await openai.responses.create({ model: 'recall', input: 'Warm?' });
    const { _request_id, output_text, ...sent } = answer as typeof answer & { _request_id: string };
    expect(await openai.responses.retrieve(answer.id)).toMatchObject(sent);
    await openai.responses.delete(answer.id);
    await expect(openai.responses.retrieve(answer.id)).rejects.toThrow(NotFoundError);
    await expect(openai.responses.delete(answer.id)).rejects.toThrow(NotFoundError);
    await expect(openai.responses.retrieve('none')).rejects.toThrow(NotFoundError);
  });

  it('lists the input of a stored response in pages, that of earlier ones included', async () => {
    const { openai, fleet, url } = await withSdk();
    fleet.script = () => saying(idsOf(CALL));
    const first = await openai.responses.create({
      model: 'recall',
      instructions: 'Brief.',
      input: 'Warm?',
      tools: [GO],
    });
    const { call_id, id } = first.output[0] as OpenAI.Responses.ResponseFunctionToolCall;
    const output = { type: 'function_call_output' as const, call_id, output: '19 C' };
    const asked = { model: 'recall', tools: [GO], previous_response_id: first.id };
    const { id: second } = await openai.responses.create({
      ...asked,
      input: [output, { role: 'user', content: 'Wet?' }],
    });
    const shown = [
      {
        type: 'message',
        role: 'user',
        content: [{ type: 'input_text', text: 'Warm?' }],
        id: expect.stringMatching(/^msg_/),
      },
      { type: 'function_call', name: 'go', call_id, arguments: '{}', id },
      { type: 'function_call_output', call_id, output: '19 C', id: expect.stringMatching(/^fco_/) },
      { type: 'message', content: [{ type: 'input_text', text: 'Wet?' }] },
    ];
    const page = await openai.responses.inputItems.list(second, { limit: 3 });
    expect(page.data).toMatchObject(shown.toReversed().slice(0, 3));
    expect(page.has_more).toBe(true);
    expect(await collect(openai.responses.inputItems.list(second, { order: 'asc', limit: 2 }))).toMatchObject(shown);
    expect((await openai.responses.inputItems.list(first.id)).data).toMatchObject(shown.slice(0, 1));
    await expect(openai.responses.inputItems.list('resp_none')).rejects.toThrow(NotFoundError);
    for (const query of ['limit=0', 'limit=101', 'limit=x', 'order=up', 'after=msg_none']) {
      const answer = await fetch(`${url}/v1/responses/${second}/input_items?${query}`);
      expect([query, answer.status, await answer.json()]).toMatchObject([
        query,
        400,
        { error: { param: query.split('=')[0] } },
      ]);
    }
  });

  it('takes the output of a call only if the conversation has the call before it', async () => {
    const { openai, fleet } = await withSdk();
    fleet.script = () => saying(idsOf(CALL));
    const first = await openai.responses.create({ model: 'recall', input: 'Warm?', tools: [GO] });
    const { call_id } = first.output[0] as OpenAI.Responses.ResponseFunctionToolCall;
    const output = (id: string) => ({ type: 'function_call_output' as const, call_id: id, output: '19 C' });
    const call = { type: 'function_call' as const, call_id: 'mine', name: 'go', arguments: '{}' };
    const asked = { model: 'recall', previous_response_id: first.id };
    await openai.responses.create({ ...asked, input: [output(call_id), call, output('mine')] });
    for (const [input, previous, param] of [
      [[output('other')], first.id, 'input[0].call_id'],
      [[output('mine'), call], first.id, 'input[0].call_id'],
      [[{ role: 'user' as const, content: 'x' }, output(call_id)], null, 'input[1].call_id'],
    ] as const)
      await expect(
        openai.responses.create({ model: 'recall', previous_response_id: previous, input: [...input] }),
      ).rejects.toMatchObject({
        status: 400,
        param,
        message: expect.stringMatching(/no function_call has the call_id '(other|mine|call_.*)'/),
      });
  });

  it('lists an item that the input has twice, in pages that end', async () => {
    const { openai, fleet } = await withSdk();
    fleet.script = () => saying(idsOf(CALL));
    const first = await openai.responses.create({ model: 'recall', input: 'Warm?', tools: [GO] });
    const { call_id, id } = first.output[0] as OpenAI.Responses.ResponseFunctionToolCall;
    const again = { type: 'item_reference' as const, id: id! };
    const output = { type: 'function_call_output' as const, call_id, output: '19 C' };
    const answer = await openai.responses.create({ model: 'recall', input: [again, output, again, output] });
    const listed = await collect(openai.responses.inputItems.list(answer.id, { order: 'asc', limit: 1 }));
    expect(listed.map(({ type }) => type)).toEqual(Array(2).fill(['function_call', 'function_call_output']).flat());
    expect(new Set(listed.map((item) => item.id)).size).toBe(4);
  });

  it('stores a stream before its last event, and both answers to requests of one id', async () => {
    const { openai, objects } = await withSdk();
    const asked = { model: 'recall', input: 'Warm?', stream: true as const };
    const headers = { 'x-request-id': 'turn-7' };
    const ids = [];
    for (const _ of [1, 2]) {
      for await (const event of await openai.responses.create(asked, { headers })) {
        if (event.type === 'response.created') expect(event.response).toMatchObject({ store: true });
        if (event.type === 'response.completed') ids.push(event.response.id);
      }
    }
    expect(new Set(ids).size).toBe(2);
    expect(ids.every((id) => id.endsWith('_turn-7'))).toBe(true);
    expect([...objects.all.keys()]).toEqual(ids.map((id) => expect.stringContaining(id)));
  });

  it('stores nothing if it is not to', async () => {
    const { openai, objects } = await withSdk();
    const answer = await openai.responses.create({ model: 'recall', input: 'Warm?', store: false });
    expect([answer, objects.all.size]).toMatchObject([{ store: false }, 0]);
    const off = await withSdk({ responseTtlMs: null });
    expect(await off.openai.responses.create({ model: 'recall', input: 'Warm?' })).toMatchObject({ store: false });
    for (const fields of [{ store: true }, { previous_response_id: answer.id }]) {
      const refused = off.openai.responses.create({ model: 'recall', input: 'x', ...fields });
      await expect(refused).rejects.toMatchObject({ status: 400, param: Object.keys(fields)[0] });
    }
    await expect(off.openai.responses.retrieve(answer.id)).rejects.toThrow(NotFoundError);
  });

  it('says in the answer that it could not be stored', async () => {
    const { openai, objects, logged } = await withSdk();
    objects.refusal = new Overloaded('the workers are full');
    const events = await collect(openai.responses.stream({ model: 'recall', input: 'x' }));
    expect(events.at(-1)).toMatchObject({ type: 'response.completed', response: { store: false } });
    expect(logged.join('')).toContain('the workers are full');
  });

  it('names a response that has expired, or that never was', async () => {
    const { openai, objects } = await withSdk();
    const { id } = await openai.responses.create({ model: 'recall', input: 'x' });
    objects.all.clear();
    const later = openai.responses.create({ model: 'recall', input: 'x', previous_response_id: id });
    await expect(later).rejects.toMatchObject({ status: 400, code: 'previous_response_not_found' });
    const input = [{ type: 'item_reference' as const, id: 'x' }];
    await expect(openai.responses.create({ model: 'recall', input })).rejects.toMatchObject({ param: 'input[0].id' });
  });

  it('keeps the responses of tenants apart', async () => {
    const [own, others] = ['k'.repeat(32), 'o'.repeat(32)];
    const server = await withSdk({ apiKeys: [own, others] }, own);
    const { id, output } = await server.openai.responses.create({ model: 'recall', input: 'Warm?' });
    const other = sdkOf(server, others);
    const asked = { model: 'recall', input: 'x' };
    await expect(other.responses.create({ ...asked, previous_response_id: id })).rejects.toMatchObject({ status: 400 });
    const input = [{ type: 'item_reference' as const, id: output[0]!.id! }];
    await expect(other.responses.create({ ...asked, input })).rejects.toMatchObject({ code: 'item_not_found' });
    await expect(other.responses.retrieve(id)).rejects.toThrow(NotFoundError);
    await expect(other.responses.delete(id)).rejects.toThrow(NotFoundError);
    await server.openai.responses.retrieve(id);
  });
});

const NOBODY = { principal: null, salt: '' };

describe('the store of responses', () => {
  const signal = new AbortController().signal;
  const clock = new SystemClock();
  const log = createLog({ level: 'silent', write: () => {} });
  const item = { type: 'message' as const, role: 'user' as const, content: 'x' };

  it('keeps a response for its time', async () => {
    let nowMs = 1_000;
    const wallMs = () => nowMs;
    const objects = new MemoryObjects(wallMs);
    const store = new ResponseStore({ objects, ttlMs: 500, objectBytes: 2 ** 24, clock, wallMs, log });
    expect(await store.save(NOBODY, 'resp_1', { response: '{}', items: [item] }, signal)).toBe(true);
    nowMs = 1_499;
    expect(await store.load(null, 'resp_1', signal)).toEqual({ response: '{}', items: [item] });
    nowMs = 1_500;
    expect(await store.load(null, 'resp_1', signal)).toBeNull();
  });

  it('stores no response beyond its limits, and no second one under an id', async () => {
    const objects = new MemoryObjects(() => 0);
    const store = new ResponseStore({ objects, ttlMs: 1, objectBytes: 2 ** 24, clock, wallMs: () => 0, log });
    const save = (response: string, items = [item]) => store.save(NOBODY, 'resp_1', { response, items }, signal);
    expect(await save('x'.repeat(STORED_RESPONSE_BYTES))).toBe(false);
    expect(await save('{}', Array(4_097).fill(item))).toBe(false);
    expect(await save('{}')).toBe(true);
    expect(await save('{}')).toBe(false);
  });
});
