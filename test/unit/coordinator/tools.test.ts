import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { ConstraintMachine } from '../../../src/core/constraint/machine.js';
import { allows } from '../core/constraint/support.js';
import { collect } from './support/collect.js';
import { saying } from './support/scripted-fleet.js';
import { idsOf, MODEL, modelWith, type TestServer, testServer } from './support/test-server.js';

/** A template in the manner of Qwen's, with calls and results in the history. */
const HERMES =
  '{% for t in tools or [] %}{{ t | tojson }}\n{% endfor %}{% for m in messages %}{{ m.role }}: {{ m.content or "" }}' +
  '{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.name }} {{ c.function.arguments | tojson }}</tool_call>{% endfor %}\n{% endfor %}';
const WEATHER = {
  type: 'function' as const,
  function: {
    name: 'get_weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};
const CLOCK = { type: 'function' as const, function: { name: 'get_time' } };
const tools = [WEATHER, CLOCK];
const USER = [{ role: 'user' as const, content: 'Is it warm in Rome?' }];
const CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>';

async function withSdk(answer: string, template = HERMES): Promise<TestServer & { openai: OpenAI }> {
  const server = await testServer({ model: await modelWith(template) });
  server.fleet.script = () => saying(idsOf(answer));
  return Object.assign(server, { openai: new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 }) });
}

/** Whether the workers were told to allow a text. */
function told({ fleet }: TestServer, text: string): boolean {
  const { constraint } = fleet.asked.at(-1)!.request.sampling;
  return allows(new ConstraintMachine(new Uint16Array(constraint!.slice().buffer), 2 ** 20), text);
}

describe('tools and calls in a prompt', () => {
  /** The text of a prompt by a template that prints tools and calls. */
  const shown = async (path: string, body: object) => {
    const printing =
      '{% for t in tools or [] %}{{ t | tojson }}\n{% endfor %}{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c | tojson }}\n{% endfor %}{% endfor %}';
    const server = await testServer({ model: await modelWith(printing) });
    server.fleet.script = () => saying(idsOf('Yes.'));
    const answer = await server.post(path, { model: 'recall', ...body });
    expect(answer.status).toBe(200);
    return MODEL.tokenizer.decode([...server.fleet.asked[0]!.request.tokens], { skipSpecialTokens: false });
  };

  it('have their fields in the order of the client', async () => {
    const call =
      '{"x": 1, "function": {"y": 2, "arguments": {"to": 3, "at": 4}, "name": "go", "z": 5}, "type": "function", "id": "c1"}';
    const tool =
      '{"x": 1, "function": {"description": "d", "strict": false, "name": "go", "parameters": {"required": ["to"], "type": "object", "properties": {"to": {"description": "d", "type": "integer"}}}}, "type": "function"}';
    const messages = [...USER, { role: 'assistant', tool_calls: [JSON.parse(call)] }];
    expect(await shown('/v1/chat/completions', { messages, tools: [JSON.parse(tool)] })).toBe(`${tool}\n${call}\n`);
    const asText = JSON.parse(call);
    const odd = '{"b": 1.0, "10": 1, "2": 2}';
    asText.function.arguments = odd;
    expect(
      await shown('/v1/chat/completions', { messages: [...USER, { role: 'assistant', tool_calls: [asText] }] }),
    ).toBe(`${call.replace('{"to": 3, "at": 4}', odd)}\n`);
    asText.function.arguments = '{"to": 3, "at": 4}';
    const texts = [...USER, { role: 'assistant', tool_calls: [asText] }];
    expect(await shown('/v1/chat/completions', { messages: texts })).toBe(`${call}\n`);
  });

  it('are in the order of OpenAI’s documentation if another API has them', async () => {
    const tool =
      '{"type": "function", "function": {"name": "go", "description": "d", "parameters": {"type": "object", "properties": {}}}}\n';
    const call = '{"id": "c1", "type": "function", "function": {"name": "go", "arguments": {"to": 3, "at": 4}}}\n';
    const schema = { type: 'object', properties: {} };
    expect(
      await shown('/v1/messages', {
        max_tokens: 8,
        messages: [
          ...USER,
          { role: 'assistant', content: [{ input: { to: 3, at: 4 }, name: 'go', id: 'c1', type: 'tool_use' }] },
          { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c1', content: 'gone' }] },
        ],
        tools: [{ input_schema: schema, description: 'd', name: 'go' }],
      }),
    ).toBe(tool + call);
    expect(
      await shown('/v1/responses', {
        store: false,
        input: [
          ...USER,
          { arguments: '{"to": 3, "at": 4}', name: 'go', call_id: 'c1', type: 'function_call' },
          { output: 'gone', call_id: 'c1', type: 'function_call_output' },
        ],
        tools: [{ parameters: schema, description: 'd', name: 'go', type: 'function' }],
      }),
    ).toBe(tool + call);
  });
});

describe('a template of its own for chats with tools', () => {
  const served = async (body: object) => {
    const server = await testServer({ model: await modelWith('<plain>', `<tools>${HERMES}`) });
    server.fleet.script = () => saying(idsOf(CALL));
    const answer = await server.post('/v1/chat/completions', { model: 'recall', messages: USER, ...body });
    const { choices } = (await answer.json()) as { choices: { finish_reason: string }[] };
    const prompt = MODEL.tokenizer.decode([...server.fleet.asked[0]!.request.tokens], { skipSpecialTokens: false });
    return { prompt, finish: choices[0]!.finish_reason };
  };

  it('is taken for them, and tells how calls are written', async () => {
    expect(await served({ tools })).toEqual({
      prompt: expect.stringMatching(/^<tools>\{"type"/),
      finish: 'tool_calls',
    });
  });

  it('is not taken without tools, or where they may not be called', async () => {
    expect(await served({})).toEqual({ prompt: '<plain>', finish: 'stop' });
    expect(await served({ tools, tool_choice: 'none' })).toEqual({ prompt: '<plain>', finish: 'stop' });
  });
});

describe('tools, with OpenAI’s SDK', () => {
  it('are called in a whole answer', async () => {
    const { openai, fleet } = await withSdk(`I look.\n${CALL}\n${CALL.replace('Rome', 'Oslo')}`);
    const { choices } = await openai.chat.completions.create({ model: 'recall', messages: USER, tools });
    expect(choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: {
        content: 'I look.',
        tool_calls: [
          {
            id: expect.stringMatching(/^call_[0-9a-f]{24}$/),
            type: 'function',
            function: { name: 'get_weather', arguments: '{"city": "Rome"}' },
          },
          { function: { arguments: '{"city": "Oslo"}' } },
        ],
      },
    });
    expect(fleet.asked[0]!.request.sampling).not.toHaveProperty('constraint');
  });

  it('are called in a stream: id and name first, with the beginning of the arguments, which come in pieces', async () => {
    const { openai } = await withSdk(CALL);
    const asked = { model: 'recall', messages: USER, tools, stream: true } as const;
    const chunks = await collect(await openai.chat.completions.create(asked));
    const deltas = chunks.flatMap(({ choices }) => choices[0]!.delta.tool_calls ?? []);
    expect(deltas[0]).toMatchObject({
      index: 0,
      id: expect.any(String),
      type: 'function',
      function: { name: 'get_weather', arguments: '{' },
    });
    expect(chunks.every(({ choices }) => (choices[0]!.delta.tool_calls ?? []).length < 2)).toBe(true);
    expect(deltas.length).toBeGreaterThan(3);
    expect(deltas.slice(1).some((delta) => 'id' in delta || delta.function?.name !== undefined)).toBe(false);
    expect(deltas.map((delta) => delta.function?.arguments).join('')).toBe('{"city": "Rome"}');
    expect(chunks.at(-1)!.choices[0]!.finish_reason).toBe('tool_calls');
    expect(chunks[0]!.choices[0]!.delta).toMatchObject({ role: 'assistant', content: null });
    expect(chunks.every(({ choices }) => !choices[0]!.delta.content)).toBe(true);
  });

  it('are assembled and run by the SDK, and their results reach the model', async () => {
    const { openai, fleet } = await withSdk(CALL);
    fleet.script = () => saying(idsOf(fleet.asked.length === 1 ? CALL : ' Yes.'));
    const runner = openai.chat.completions.runTools({
      model: 'recall',
      messages: USER,
      stream: true,
      tools: [
        {
          type: 'function',
          function: {
            ...WEATHER.function,
            description: 'Tells the weather.',
            parse: JSON.parse as (input: string) => { city: string },
            function: ({ city }: { city: string }) => `warm in ${city}`,
          },
        },
      ],
    });
    expect(await runner.finalContent()).toBe(' Yes.');
    const prompt = MODEL.tokenizer.decode([...fleet.asked[1]!.request.tokens], { skipSpecialTokens: false });
    expect(prompt).toContain('<tool_call>get_weather {"city": "Rome"}</tool_call>');
    expect(prompt).toContain('tool: warm in Rome');
  });

  it('are hidden and not looked for with tool_choice none', async () => {
    const { openai, fleet } = await withSdk(CALL);
    const { choices } = await openai.chat.completions.create({
      model: 'recall',
      messages: USER,
      tools,
      tool_choice: 'none',
    });
    expect(choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: CALL } });
    const prompt = MODEL.tokenizer.decode([...fleet.asked[0]!.request.tokens], { skipSpecialTokens: false });
    expect(prompt).not.toContain('get_weather');
  });

  it('are one with parallel_tool_calls false, and the rest of the answer is not computed', async () => {
    const { openai } = await withSdk(`${CALL}\n${CALL}`);
    const asked = { model: 'recall', messages: USER, tools, parallel_tool_calls: false };
    const { choices, usage } = await openai.chat.completions.create(asked);
    expect(choices[0]!.message.tool_calls).toHaveLength(1);
    expect(usage!.completion_tokens).toBeLessThan(idsOf(`${CALL}\n${CALL}`).length);
  });

  it('have the arguments of their schema wherever the model calls, if they are strict', async () => {
    const server = await withSdk(`I look <now>.\n${CALL}`);
    const strict = [{ ...WEATHER, function: { ...WEATHER.function, strict: true } }, CLOCK];
    const asked = { model: 'recall', messages: USER, tools: strict };
    const { choices } = await server.openai.chat.completions.create(asked);
    expect(choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: 'I look <now>.' } });
    const time = '<tool_call>\n{"name": "get_time", "arguments": {"zone": [1]}}\n</tool_call>';
    for (const right of ['', 'Yes, <tool_cal> é!', CALL, `Well<${CALL}\n${time}, I say <tool_`])
      expect([right, told(server, right)]).toEqual([right, true]);
    for (const wrong of [
      CALL.replace('"city"', '"town"'),
      `<<tool_call>${CALL}`,
      `${CALL} ${CALL.replace('"Rome"', '7')}`,
      time.replace('time', 'date'),
      CALL.slice(0, -20),
    ])
      expect([wrong, told(server, wrong)]).toEqual([wrong, false]);
    await server.openai.chat.completions.create({ ...asked, parallel_tool_calls: false });
    expect([told(server, CALL), told(server, `${CALL}\n${CALL}`)]).toEqual([true, false]);
    const format = { type: 'json_object' as const };
    await server.openai.chat.completions.create({ ...asked, response_format: format });
    expect([told(server, '{}'), told(server, CALL)]).toEqual([true, false]);
  });

  describe('whose arguments turn out to be no JSON', () => {
    const WRONG = CALL.replace('"Rome"', 'Rome');
    const answer = `I look.\n${CALL}\n${WRONG}`;
    const asked = { model: 'recall', messages: USER, tools };

    it('are the text of a whole answer', async () => {
      const { openai } = await withSdk(answer);
      const { choices } = await openai.chat.completions.create(asked);
      expect(choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: `I look.${WRONG}` } });
      expect(choices[0]!.message.tool_calls).toMatchObject([{ function: { arguments: '{"city": "Rome"}' } }]);
    });

    it('stay in a stream as far as they were sent, which does not end with tool_calls', async () => {
      const { openai } = await withSdk(answer);
      const chunks = await collect(await openai.chat.completions.create({ ...asked, stream: true }));
      const deltas = chunks.map(({ choices }) => choices[0]!.delta);
      expect(deltas.map(({ content }) => content ?? '').join('')).toBe(`I look.${WRONG}`);
      const calls = deltas.flatMap(({ tool_calls }) => tool_calls ?? []);
      const argumentsOf = (i: number) =>
        calls.flatMap((call) => (call.index === i ? (call.function?.arguments ?? '') : [])).join('');
      expect(argumentsOf(0)).toBe('{"city": "Rome"}');
      expect('{"city": Rome}'.startsWith(argumentsOf(1))).toBe(true);
      expect(calls.filter(({ index, id }) => index === 1 && id)).toHaveLength(1);
      expect(chunks.at(-1)!.choices[0]!.finish_reason).toBe('stop');
    });
  });

  it.each([
    ['/v1/chat/completions', { response_format: { type: 'json_object' } }],
    ['/v1/chat/completions', { structured_outputs: { regex: '\\{.*\\}' } }],
    ['/v1/responses', { input: 'Warm?', text: { format: { type: 'json_object' } } }],
    ['/v1/messages', { max_tokens: 50, output_format: { type: 'json_schema', schema: {} } }],
  ])('are not called by an answer with a form of its own: %s %j', async (path, fields) => {
    const answer = '{"name": "get_time", "parameters": {}}';
    const server = await withSdk(answer, `{{ "<|python_tag|>" }}${HERMES.replaceAll(/<.?tool_call>/g, '')}`);
    const { function: clock } = CLOCK;
    const offered = {
      '/v1/chat/completions': { tools, messages: USER },
      '/v1/responses': { tools: [{ type: 'function', ...clock }] },
      '/v1/messages': { tools: [{ ...clock, input_schema: {} }], messages: USER },
    }[path];
    const response = await server.post(path, { ...offered, ...fields });
    const { choices, output, content } = (await response.json()) as Record<string, object[] | undefined>;
    expect((choices ?? output ?? content)![0]).toMatchObject(
      choices
        ? { message: { content: answer }, finish_reason: 'stop' }
        : output
          ? { type: 'message', content: [{ text: answer }] }
          : { type: 'text', text: answer },
    );
  });

  it('must be called with tool_choice required, with arguments that satisfy the schema', async () => {
    const server = await withSdk(CALL);
    const asked = { model: 'recall', messages: USER, tools, tool_choice: 'required' } as const;
    const { choices } = await server.openai.chat.completions.create(asked);
    expect(choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: null, tool_calls: [{}] } });
    const time = '<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>';
    for (const right of [CALL, time, `${CALL}\n${time}`]) expect([right, told(server, right)]).toEqual([right, true]);
    for (const wrong of [
      '',
      'Yes.',
      CALL.replace('"city"', '"town"'),
      CALL.replace('"Rome"', '7'),
      CALL.replace('weather', 'x'),
      time.replace('{}', '{"a":1}'),
    ])
      expect([wrong, told(server, wrong)]).toEqual([wrong, false]);
  });

  it('must be the named one, once', async () => {
    const server = await withSdk(CALL);
    const tool_choice = { type: 'function', function: { name: 'get_weather' } } as const;
    const { choices } = await server.openai.chat.completions.create({
      model: 'recall',
      messages: USER,
      tools,
      tool_choice,
    });
    expect(choices[0]).toMatchObject({ finish_reason: 'tool_calls' });
    expect([told(server, CALL), told(server, `${CALL}\n${CALL}`)]).toEqual([true, false]);
    expect(told(server, CALL.replace('weather", "arguments": {"city": "Rome"}', 'time", "arguments": {}'))).toBe(false);
  });

  it('may or must be some of those in the prompt', async () => {
    const server = await withSdk(CALL);
    const allowed = (mode: 'auto' | 'required') => ({
      type: 'allowed_tools' as const,
      allowed_tools: { mode, tools: [{ type: 'function', function: { name: 'get_weather' } }] },
    });
    const asked = { model: 'recall', messages: USER, tools };
    const time = '<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>';
    for (const mode of ['auto', 'required'] as const) {
      const answer = await server.openai.chat.completions.create({ ...asked, tool_choice: allowed(mode) });
      expect(answer.choices[0]).toMatchObject({ finish_reason: 'tool_calls' });
      const prompt = MODEL.tokenizer.decode([...server.fleet.asked.at(-1)!.request.tokens], {
        skipSpecialTokens: false,
      });
      expect(prompt).toContain('get_time');
      const may = [told(server, CALL), told(server, `${CALL}\n${CALL}`), told(server, time), told(server, 'Yes.')];
      expect([mode, ...may]).toEqual([mode, true, true, false, mode === 'auto']);
    }
    const { output } = await server.openai.responses.create({
      model: 'recall',
      input: 'Where?',
      tools: tools.map((tool) => ({ type: 'function', ...tool.function, strict: false })),
      tool_choice: { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'get_weather' }] },
    } as never);
    expect(output).toMatchObject([{ type: 'function_call', name: 'get_weather' }]);
    expect([told(server, CALL), told(server, time)]).toEqual([true, false]);
  });

  it.each([
    ['{{ "[TOOL_CALLS]" }}', '[TOOL_CALLS][{"name": "get_time", "arguments": {}}]', /^[0-9a-f]{9}$/],
    ['{{ "[TOOL_CALLS][ARGS]" }}', '[TOOL_CALLS]get_time[ARGS]{}', /^[0-9a-f]{9}$/],
    ['[func_name1(a=1)]', '[get_time()]', /^call_/],
    [
      '<｜tool▁call▁begin｜>```json',
      '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
      /^call_/,
    ],
    ['<|tool_call>call:', '<|tool_call>call:get_time{}<tool_call|>', /^call_/],
    [
      '{% if add_generation_prompt %}{% endif %}<|channel|><|message|>',
      '<|channel|>commentary to=functions.get_time <|constrain|>json<|message|>{}',
      /^call_/,
    ],
    ['{{ "<|python_tag|>" }}', '{"name": "get_time", "parameters": {}}', /^call_/],
  ])('are enforced in the form of the model: %s', async (mark, answer, id) => {
    const template = `${mark}${HERMES.replaceAll('<tool_call>', '').replaceAll('</tool_call>', '')}<|start|>assistant`;
    const server = await withSdk(answer, template);
    const asked = { model: 'recall', messages: USER, tools, tool_choice: 'required' } as const;
    const { choices } = await server.openai.chat.completions.create(asked);
    expect(choices[0]!.message.tool_calls).toMatchObject([
      { id: expect.stringMatching(id), function: { name: 'get_time', arguments: '{}' } },
    ]);
    expect([told(server, answer), told(server, CALL)]).toEqual([true, false]);
  });

  it('are called under a constraint by a model whose template knows no tools', async () => {
    const server = await testServer();
    server.fleet.script = () => saying(idsOf('{"name": "get_time", "parameters": {}}'));
    const asked = { messages: USER, tools, tool_choice: 'required' };
    const answer = (await (await server.post('/v1/chat/completions', asked)).json()) as OpenAI.ChatCompletion;
    expect(answer.choices[0]!.message.tool_calls).toMatchObject([{ function: { name: 'get_time', arguments: '{}' } }]);
    const auto = await server.post('/v1/chat/completions', { messages: USER, tools });
    expect([auto.status, await auto.text()]).toEqual([
      400,
      expect.stringContaining('does not tell the model about tools'),
    ]);
  });

  it.each([
    [{ tool_choice: 'required' }, 'tool_choice', /needs tools/],
    [{ tools: [...tools, CLOCK] }, 'tools', /two have the name 'get_time'/],
    [{ tools, tool_choice: 'always' }, 'tool_choice', /must be "none", "auto", "required", /],
    [{ tools, tool_choice: { type: 'function', function: { name: 'x' } } }, 'tool_choice.function.name', /no tool 'x'/],
    [
      {
        tools,
        tool_choice: {
          type: 'allowed_tools',
          allowed_tools: { mode: 'auto', tools: [{ type: 'function', function: { name: 'x' } }] },
        },
      },
      'tool_choice.allowed_tools.tools',
      /no tool 'x'/,
    ],
    [
      { tools, tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [] } } },
      'tool_choice.allowed_tools.tools',
      /must have at least one item/,
    ],
    [{ tools, tool_choice: 'required', guided_json: {} }, 'tools', /cannot be combined with guided_json/],
    [{ tools, tool_choice: 'required', ignore_eos: true }, 'ignore_eos', /cannot be combined with tools/],
    [
      { tools: [{ type: 'function', function: { name: 'f', parameters: { not: {} } } }], tool_choice: 'required' },
      'tools',
      /f: parameters: not: cannot be honoured/,
    ],
    [
      { tools: [{ type: 'function', function: { name: 'f', parameters: 7 } }] },
      'tools[0].function.parameters',
      /JSON Schema/,
    ],
  ])('that cannot be honoured are a 400: %j', async (fields, param, message) => {
    const { post } = await withSdk(CALL);
    const answer = await post('/v1/chat/completions', { messages: USER, ...fields });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { param, message: expect.stringMatching(message) } });
  });
});

describe('channels of gpt-oss', () => {
  const TEMPLATE = `${HERMES}{# <|channel|>analysis<|message|> #}<|start|>assistant`;
  const THINKS = '<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant<|channel|>final<|message|>';

  it('are reasoning, text and calls, without tools too', async () => {
    const asked = { model: 'recall', messages: USER };
    const { openai } = await withSdk(`${THINKS}Yes.`, TEMPLATE);
    expect((await openai.chat.completions.create(asked)).choices[0]!.message).toMatchObject({
      ...{ content: 'Yes.', reasoning_content: 'Let me see.' },
    });
  });

  it('have an answer with a given form in the one for the user', async () => {
    const server = await withSdk('<|channel|>final<|message|>{"a": 1}', TEMPLATE);
    const response_format = { type: 'json_object' as const };
    const { choices } = await server.openai.chat.completions.create({
      model: 'recall',
      messages: USER,
      response_format,
    });
    expect(choices[0]!.message.content).toBe('{"a": 1}');
    expect([told(server, '<|channel|>final<|message|>{"a": 1}'), told(server, '{"a": 1}')]).toEqual([true, false]);
  });
});

describe('reasoning', () => {
  const THINKS = `${HERMES}{% if think %}{{ "<think>" }}{% endif %}{{ "" if true else "</think>" }}`;

  it('stands apart from the text, in whole answers and streams', async () => {
    const { openai } = await withSdk('<think>\nLet me see.\n</think>\n\nYes.', THINKS);
    const asked = { model: 'recall', messages: USER };
    const { choices } = await openai.chat.completions.create(asked);
    expect(choices[0]!.message).toMatchObject({ content: 'Yes.', reasoning_content: 'Let me see.' });
    const chunks = await collect(await openai.chat.completions.create({ ...asked, stream: true }));
    const deltas = chunks.map((chunk) => chunk.choices[0]!.delta as { content?: string; reasoning_content?: string });
    expect(deltas.map((delta) => delta.reasoning_content ?? '').join('')).toBe('Let me see.');
    expect(deltas.map((delta) => delta.content ?? '').join('')).toBe('Yes.');
  });

  it('may be begun by the prompt', async () => {
    const { openai } = await withSdk('Let me see.</think>Yes.', `${THINKS}{{ "<think>\n" }}`);
    const { choices } = await openai.chat.completions.create({ model: 'recall', messages: USER });
    expect(choices[0]!.message).toMatchObject({ content: 'Yes.', reasoning_content: 'Let me see.' });
  });
});
