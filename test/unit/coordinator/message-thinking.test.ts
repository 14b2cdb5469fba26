import { describe, expect, it } from 'vitest';
import { saying } from './support/scripted-fleet.js';
import { idsOf, MODEL, modelWith, type TestServer, testServer } from './support/test-server.js';

/** `thinking` of Anthropic's Messages API. */

const USER = { role: 'user', content: 'Warm?' };
/** In the manner of Qwen's and of DeepSeek's, without and with reasoning. */
const PLAIN = '{% for m in messages %}{{ m.content }}|{% endfor %}';
const QWEN = `${PLAIN}{% if enable_thinking is defined %}{{ "on" if enable_thinking else "off" }}{% endif %}{{ "" if true else "</think>" }}`;
const DEEPSEEK = QWEN.replaceAll('enable_thinking', 'thinking');
const ALWAYS = `${PLAIN}<think>`.replace('<think>', '{{ "<think>" }}{{ "" if true else "</think>" }}');

async function server(template: string): Promise<TestServer> {
  const made = await testServer({ model: await modelWith(template) });
  made.fleet.script = () => saying(idsOf('<think>Hm.</think>Yes.'));
  return made;
}

const asked = (thinking: object) => ({ max_tokens: 50, messages: [USER], thinking });

describe('thinking in the Messages API', () => {
  it.each([
    [QWEN, { type: 'enabled', budget_tokens: 1024 }, 'Warm?|on'],
    [QWEN, { type: 'adaptive' }, 'Warm?|on'],
    [QWEN, { type: 'disabled' }, 'Warm?|off'],
    [QWEN, null, 'Warm?|'],
    [DEEPSEEK, { type: 'adaptive' }, 'Warm?|on'],
    [DEEPSEEK, { type: 'disabled' }, 'Warm?|off'],
    [ALWAYS, { type: 'adaptive' }, 'Warm?|<think>'],
    [ALWAYS, { type: 'disabled' }, 'Warm?|<think>'],
    [PLAIN, { type: 'disabled' }, 'Warm?|'],
  ])('is what the template is told: %s %j', async (template, thinking, prompt) => {
    const { post, fleet } = await server(template);
    const answer = await post('/v1/messages', asked(thinking as object));
    expect([answer.status, await answer.json()]).toMatchObject([200, { type: 'message' }]);
    const { tokens } = fleet.asked[0]!.request;
    expect(MODEL.tokenizer.decode([...tokens], { skipSpecialTokens: false })).toBe(prompt);
    const { max_tokens: _, ...counted } = asked(thinking as object);
    const count = await post('/v1/messages/count_tokens', counted);
    expect(await count.json()).toEqual({ input_tokens: tokens.length });
  });

  it('is a block of the answer, and its budget is listed as ignored', async () => {
    const { post } = await server(QWEN);
    const answer = await post('/v1/messages', asked({ type: 'enabled', budget_tokens: 1024 }));
    expect(await answer.json()).toMatchObject({
      content: [
        { type: 'thinking', thinking: 'Hm.' },
        { type: 'text', text: 'Yes.' },
      ],
      shoal: { ignored: ['thinking.budget_tokens'] },
    });
  });

  it.each([
    [PLAIN, { type: 'enabled', budget_tokens: 1024 }, 'thinking', 'does not reason'],
    [QWEN, { type: 'always' }, 'thinking.type', 'must be one of'],
  ])('that cannot be is a 400: %s %j', async (template, thinking, param, message) => {
    const { post } = await server(template);
    const answer = await post('/v1/messages', asked(thinking));
    expect([answer.status, await answer.json()]).toMatchObject([
      400,
      { error: { param, message: expect.stringContaining(message) } },
    ]);
  });
});
