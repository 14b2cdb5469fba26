import { beforeAll, describe, expect, it } from 'vitest';
import { checkBody } from '../../../coordinator/openai/parameters/check-body.js';
import { ChatRequest } from '../../../coordinator/openai/requests.js';
import { InvalidRequest } from '../../../src/errors.js';
import { type ModelFolder, openModelFolder } from '../../../src/model/folder.js';
import { TextTasks } from '../../../src/text/text-task.js';
import { RECALL } from '../model/folders.js';

const TEMPLATE =
  '{% for t in tools or [] %}TOOL {{ t | tojson }}|{% endfor %}{% for m in messages %}{{ m.role }}: {{ m.content }}' +
  '{% for c in m.tool_calls or [] %} CALL {{ c.function.name }}{% for key, value in c.function.arguments | items %}' +
  ' {{ key }}={{ value }}{% endfor %}{% endfor %}{% if m.tool_call_id %} FOR {{ m.tool_call_id }}{% endif %}|{% endfor %}';
const TOOL = { type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } };

let folder: ModelFolder;

beforeAll(async () => {
  folder = await openModelFolder(RECALL);
});

const chat = (city: string) => [
  { role: 'user', content: 'Is it warm?' },
  {
    role: 'assistant',
    content: null,
    tool_calls: [{ id: 'c1', type: 'function', function: { name: 'weather', arguments: JSON.stringify({ city }) } }],
  },
  { role: 'tool', tool_call_id: 'c1', content: '19 C' },
];

async function idsOf(body: object, chatTemplate = TEMPLATE): Promise<Uint32Array> {
  const { messages, tools } = checkBody(ChatRequest, body);
  const tasks = await TextTasks.load({ ...folder, chatTemplate });
  const options = { param: 'messages', addSpecialTokens: false, parseSpecial: false, mostTokens: 4_096 };
  const result = tasks.run({ type: 'chat', messages, options: { ...options, addGenerationPrompt: true, tools } });
  if (result.type !== 'tokens') throw new Error(`got ${result.type}`);
  return result.tokens;
}

async function textOf(body: object, chatTemplate = TEMPLATE): Promise<string> {
  const tasks = await TextTasks.load(folder);
  const result = tasks.run({ type: 'decode', tokens: await idsOf(body, chatTemplate), options: { param: 'tokens' } });
  if (result.type !== 'text') throw new Error(`got ${result.type}`);
  return result.text;
}

describe('a chat with tools', () => {
  it('gives the template the tools, the calls with their arguments, and what each result answers', async () => {
    expect(await textOf({ messages: chat('Rome'), tools: [TOOL] })).toBe(
      'TOOL {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}|' +
        'user: Is it warm?|assistant:  CALL weather city=Rome|tool: 19 C FOR c1|',
    );
  });

  it('gives the template None as the content of a call without one, left out or null', async () => {
    const template = '{% for m in messages %}{% if m.content is none %}none{% else %}text{% endif %};{% endfor %}';
    const [user, call, result] = chat('x') as [object, { content?: null }, object];
    expect(await textOf({ messages: [user, call, result] }, template)).toBe('text;none;text;');
    delete call.content;
    expect(await textOf({ messages: [user, call, result] }, template)).toBe('text;none;text;');
  });

  it('gives the template arguments that are no object as the model wrote them', async () => {
    const template =
      '{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.function.arguments }}{% endfor %}{% endfor %}';
    const [user, call, result] = chat('x') as [object, { tool_calls: [{ function: { arguments: string } }] }, object];
    for (const wrong of ['{"city": ', '7']) {
      call.tool_calls[0].function.arguments = wrong;
      expect(await textOf({ messages: [user, call, result] }, `!${template}`)).toBe(`!${wrong}`);
    }
  });

  it('is refused if the template does not tell the model about tools', async () => {
    const template = '{% for m in messages %}{{ m.content }}{% endfor %}';
    await expect(idsOf({ messages: chat('Rome'), tools: [TOOL] }, template)).rejects.toThrow(InvalidRequest);
    await expect(textOf({ messages: chat('Rome'), tools: [] }, template)).resolves.toContain('19 C');
  });

  it.each([
    ['a tool without a name', { tools: [{ type: 'function', function: {} }] }, /tools\[0\]/],
    ['a call without a function', { messages: [{ role: 'assistant', tool_calls: [{ id: 'x' }] }] }, /tool_calls/],
  ])('is refused with %s', (_, fields, message) => {
    expect(() => checkBody(ChatRequest, { messages: chat('x'), ...fields })).toThrow(message);
  });

  it('keeps special tokens that a client spells in tools, calls and their arguments text', async () => {
    const end = '<|end|>';
    const [user, call, result] = chat(end);
    const tools = [{ type: 'function', function: { name: end, parameters: { [end]: { description: end } } } }];
    const messages = [user, call, { ...result, tool_call_id: end }];
    const ids = await idsOf({ messages, tools });
    expect([...ids]).not.toContain(989);
    expect(await textOf({ messages, tools })).toContain(`city=${end}`);
    expect([...(await idsOf({ messages, tools }, `${TEMPLATE}<|end|>`))].at(-1)).toBe(989);
  });
});

describe('a message in several text parts', () => {
  it('has a line for each', async () => {
    const parts = ['The amber key is in the harbor.', 'Where is it?'];
    const content = parts.map((text) => ({ type: 'text', text }));
    const template = '{% for m in messages %}{{ m.content }}{% endfor %}';
    expect(await textOf({ messages: [{ role: 'user', content }] }, template)).toBe(parts.join('\n'));
    expect(
      await textOf(
        {
          messages: [
            { role: 'user', content: [] },
            { role: 'user', content: 'x' },
          ],
        },
        template,
      ),
    ).toBe('x');
  });
});
