import { describe, expect, it } from 'vitest';
import { saying } from './support/scripted-fleet.js';
import { idsOf, MODEL, modelWith, type TestServer, testServer } from './support/test-server.js';

const TEMPLATE =
  '{% for d in documents or [] %}DOC {{ d.text }}|{% endfor %}{% if enable_thinking is defined %}THINK {{ "on" if enable_thinking else "off" }}|{% endif %}' +
  '{% if reasoning_effort %}EFFORT {{ reasoning_effort }}|{% endif %}{% for m in messages %}{{ m.role }}:{{ m.reasoning_content or "" }} {{ m.content }};{% endfor %}' +
  '{% if add_generation_prompt %}assistant:{% endif %}';
const USER = { role: 'user', content: 'Hi' };

async function server(template = TEMPLATE): Promise<TestServer> {
  const made = await testServer({ model: await modelWith(template) });
  made.fleet.script = () => saying(idsOf(' yes'));
  return made;
}

/** The prompt that the workers got for a chat. */
async function promptOf(fields: object, made?: TestServer): Promise<string> {
  const { post, fleet } = made ?? (await server());
  const answer = await post('/v1/chat/completions', { messages: [USER], ...fields });
  expect([answer.status, answer.status === 200 ? '' : await answer.text()]).toEqual([200, '']);
  return MODEL.tokenizer.decode([...fleet.asked.at(-1)!.request.tokens], { skipSpecialTokens: false });
}

describe('a chat', () => {
  it.each([
    [{}, 'user: Hi;assistant:'],
    [{ add_generation_prompt: false }, 'user: Hi;'],
    [{ chat_template_kwargs: { enable_thinking: false } }, 'THINK off|user: Hi;assistant:'],
    [{ documents: [{ text: 'a<|end|>' }] }, 'DOC a<|end|>|user: Hi;assistant:'],
    [{ reasoning_effort: 'low' }, 'EFFORT low|user: Hi;assistant:'],
    [{ messages: [{ role: 'assistant', content: 'Yes', reasoning_content: 'Hm' }] }, 'assistant:Hm Yes;assistant:'],
    [
      { messages: [USER, { role: 'assistant', content: ' The key ' }], continue_final_message: true },
      'user: Hi;assistant:  The key ',
    ],
    [{ messages: [USER, { role: 'assistant', content: ' The key ', prefix: true }] }, 'user: Hi;assistant:  The key '],
    [{ truncate_prompt_tokens: 2, add_generation_prompt: false }, 'Hi;'],
    [{ truncate_prompt_tokens: 1, truncation_side: 'right' }, 'user'],
    [{ truncate_prompt_tokens: 400 }, 'user: Hi;assistant:'],
  ])('shows the model what %j asks for', async (fields, prompt) => {
    const shown = await promptOf(fields);
    if ('truncate_prompt_tokens' in fields && fields.truncate_prompt_tokens < 3) {
      expect(idsOf(shown)).toHaveLength(fields.truncate_prompt_tokens);
      expect('user: Hi;'.startsWith(shown) || 'user: Hi;'.endsWith(shown)).toBe(true);
    } else expect(shown).toBe(prompt);
  });

  it('keeps special tokens that variables and documents spell text', async () => {
    const made = await server();
    await promptOf({ documents: [{ text: '<|end|>' }], chat_template_kwargs: { enable_thinking: '<|end|>' } }, made);
    expect([...made.fleet.asked[0]!.request.tokens]).not.toContain(989);
  });

  it('that is longer than the context is cut to the tokens that are asked for', async () => {
    const made = await server();
    const messages = [{ role: 'user', content: ' the'.repeat(2_000) }];
    expect((await made.post('/v1/chat/completions', { messages })).status).toBe(400);
    await promptOf({ messages, truncate_prompt_tokens: 100 }, made);
    expect(made.fleet.asked[0]!.request.tokens).toHaveLength(100);
  });

  it('is tokenized as it is answered', async () => {
    const made = await server();
    const fields = { messages: [USER], chat_template_kwargs: { enable_thinking: true } };
    await promptOf(fields, made);
    const answer = (await (await made.post('/tokenize', fields)).json()) as { tokens: number[] };
    expect(answer.tokens).toEqual([...made.fleet.asked[0]!.request.tokens]);
  });

  it.each([
    [{ chat_template_kwargs: { colour: 'red' } }, 'chat_template_kwargs.colour', /has no variable 'colour'/],
    [{ chat_template_kwargs: { messages: [] } }, 'chat_template_kwargs.messages', /send it as a field/],
    [{ reasoning_effort: 'huge' }, 'reasoning_effort', /must be/],
    [{ documents: ['x'] }, 'documents[0]', /must be an object/],
    [{ continue_final_message: true, add_generation_prompt: true }, 'continue_final_message', /cannot be combined/],
    [
      { messages: [{ role: 'assistant', content: '' }], continue_final_message: true },
      'continue_final_message',
      /no content/,
    ],
    [{ messages: [{ ...USER, prefix: true }] }, 'messages[0].prefix', /message of the assistant/],
    [{ messages: [{ role: 'assistant', content: 'a', prefix: true }, USER] }, 'messages[0].prefix', /the last message/],
    [
      { messages: [{ role: 'assistant', content: 'a', prefix: true }], add_generation_prompt: true },
      'messages[0].prefix',
      /cannot be combined/,
    ],
    [
      { messages: [{ role: 'assistant', content: 'a', prefix: true }], continue_final_message: false },
      'continue_final_message',
      /prefix: true/,
    ],
    [{ truncate_prompt_tokens: 0 }, 'truncate_prompt_tokens', /at least|1/],
  ])('that asks for what cannot be honoured is a 400: %j', async (fields, param, message) => {
    const { post } = await server();
    const answer = await post('/v1/chat/completions', { messages: [USER], ...fields });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { param, message: expect.stringMatching(message) } });
  });

  it('is refused documents and efforts that the template does not know', async () => {
    const { post } = await testServer();
    for (const fields of [{ documents: [{ text: 'x' }] }, { reasoning_effort: 'low' }]) {
      const answer = await post('/v1/chat/completions', { messages: [USER], ...fields });
      expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('has no variable')]);
    }
  });
});

it('a completion is cut, as text and as token ids, but not echoed then', async () => {
  const { post, fleet } = await server();
  for (const prompt of [' the'.repeat(2_000), Array(2_000).fill(5)]) {
    expect((await post('/v1/completions', { prompt, truncate_prompt_tokens: 7 })).status).toBe(200);
    expect(fleet.asked.at(-1)!.request.tokens).toHaveLength(7);
  }
  const echo = await post('/v1/completions', { prompt: 'x', truncate_prompt_tokens: 7, echo: true });
  expect([echo.status, await echo.text()]).toEqual([400, expect.stringContaining('echo: cannot be combined')]);
});
