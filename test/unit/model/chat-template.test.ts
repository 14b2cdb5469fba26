import { beforeAll, describe, expect, it } from 'vitest';
import { InvalidRequest, Refused } from '../../../src/errors.js';
import { type ChatMessage, ChatTemplate } from '../../../src/model/chat-template.js';
import { type ModelFolder, openModelFolder } from '../../../src/model/folder.js';
import { RECALL } from './folders.js';

let recall: ModelFolder;
beforeAll(async () => {
  recall = await openModelFolder(RECALL);
});

const templateOf = (chatTemplate: string, tokenizerConfig: Record<string, unknown> = {}) =>
  ChatTemplate.from({ ...recall, chatTemplate, tokenizerConfig })!;
const hello: ChatMessage[] = [{ role: 'user', content: 'hello' }];

describe('a chat template', () => {
  it('renders conversations as recall was trained on them', () => {
    const text = ChatTemplate.from(recall)!.render([
      { role: 'system', content: 'Notes:\nThe amber key is in the harbor.' },
      { role: 'user', content: 'Where is the amber key?' },
      { role: 'assistant', content: 'The amber key is in the harbor.' },
      { role: 'user', content: 'Who?' },
    ]);
    expect(text).toBe(
      'Notes:\nThe amber key is in the harbor.\n\nQ: Where is the amber key?\nA: The amber key is in the harbor.<|end|>\nQ: Who?\nA:',
    );
  });

  it('accepts contents as a string, as text parts, and null', () => {
    const template = templateOf('{% for m in messages %}[{{ m.role }}|{{ m.name }}|{{ m.content }}]{% endfor %}');
    const parts = [
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
    ] as const;
    const text = template.render([
      { role: 'user', content: parts, name: 'Ada' },
      { role: 'assistant', content: null },
    ]);
    expect(text).toBe('[user|Ada|a\nb][assistant||]');
  });

  it('has None for a content that is null, and for tools and documents that are absent, as in transformers', () => {
    const content = templateOf(
      '{% for m in messages %}{% if m.content is none %}none{% else %}[{{ m.content }}]{% endif %}{% endfor %}',
    );
    const messages = [null, '', 'a'].map((text) => ({ role: 'assistant', content: text }));
    expect(content.render(messages)).toBe('none[][a]');
    const joining = templateOf("{% for m in messages %}{{ '[' + m.content + ']' }}{% endfor %}");
    expect(joining.render(messages)).toBe('[][][a]');
    const given = templateOf(
      '{% for x in [tools, documents] %}{% if x is none %}none{% else %}{{ x | tojson }}{% endif %};{% endfor %}',
    );
    expect(given.render(hello)).toBe('none;none;');
    expect(given.render(hello, { tools: [1], variables: { documents: { value: [2], param: 'documents' } } })).toBe(
      '[1];[2];',
    );
  });

  it('has the arguments of calls as JSON text, and the names of called tools, if it takes nothing else', () => {
    const toolCalls = [{ id: 'c1', type: 'function', function: { name: 'get', arguments: '{"a": 1}' } }];
    const messages = [
      { role: 'assistant', content: null, toolCalls },
      { role: 'tool', content: 'x', toolCallId: 'c1' },
    ];
    const calls = (write: string) => `{% for m in messages %}{% for c in m.tool_calls or [] %}${write}{% endfor %}`;
    const result = "{% if m.role == 'tool' %}{{ m.name or raise_exception('nameless') }}{% endif %}{% endfor %}";
    const render = (template: string) => templateOf(template).render(messages);
    expect(render(`${calls('{{ c.function.arguments | tojson }}')}{% endfor %}`)).toBe('{"a": 1}');
    expect(render(`${calls("{{ '>' + c.function.arguments }}")}{% endfor %}`)).toBe('>{"a": 1}');
    expect(render(calls('{{ c.function.arguments.a }}') + result)).toBe('1get');
    expect(render(calls("{{ '>' + c.function.arguments }}") + result)).toBe('>{"a": 1}get');
    expect(() => render(`${calls('')}{{ raise_exception('never') }}{% endfor %}`)).toThrow(/never/);
  });

  it('has no arguments as an empty object', () => {
    const template = templateOf(
      '{% for m in messages %}{% for c in m.tool_calls %}{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}',
    );
    for (const called of [{ name: 'f' }, { name: 'f', arguments: '' }, { name: 'f', arguments: '{}' }])
      expect(template.render([{ role: 'assistant', content: '', toolCalls: [{ function: called }] }])).toBe('{}');
  });

  it('has reasoning under all names that templates know, but not `thinking` beside a content and calls', () => {
    const template = templateOf(
      '{% for m in messages %}{{ m.reasoning_content }}|{{ m.reasoning }}|{{ m.thinking }};{% endfor %}',
    );
    const message = { role: 'assistant', content: 'x', reasoning: 'hm' };
    expect(template.render([message, { ...message, toolCalls: [] }])).toBe('hm|hm|hm;hm|hm|;');
  });

  it('has the special tokens, strings or objects, and the given variables', () => {
    const template = templateOf('{{ bos_token }}{{ eos_token }}{% if add_generation_prompt %}+{% endif %}{{ mode }}', {
      bos_token: { content: '<s>', lstrip: false },
      eos_token: '</s>',
    });
    expect(template.render(hello)).toBe('<s></s>+');
    expect(
      template.render(hello, { addGenerationPrompt: false, variables: { mode: { value: 'x', param: 'mode' } } }),
    ).toBe('<s></s>x');
  });

  it('iterates nothing where a variable is undefined, as Jinja does', () => {
    const loop = (of: string) => templateOf(`{% for x in ${of} %}[{{ x }}]{% else %}none{% endfor %}`).render(hello);
    expect(loop('missing')).toBe('none');
    expect(loop('messages[0].tool_calls')).toBe('none');
    expect(loop('missing if x')).toBe('none');
    expect(loop("['a']")).toBe('[a]');
    expect(() => loop('7')).toThrow(InvalidRequest);
  });

  it('turns an exception of the template into InvalidRequest with its message', () => {
    const template = templateOf("{{ raise_exception('roles must alternate') }}");
    expect(() => template.render(hello)).toThrow(InvalidRequest);
    expect(() => template.render(hello)).toThrow(/roles must alternate/);
  });

  it('refuses parts that are not text, naming the message', () => {
    const image = [{ type: 'image_url', image_url: { url: 'x' } }] as unknown as ChatMessage['content'];
    try {
      templateOf('').render([...hello, { role: 'user', content: image }]);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidRequest);
      expect((error as InvalidRequest).param).toBe('messages[1].content');
    }
  });

  it('does not evaluate templates inside messages', () => {
    const text = templateOf('{{ messages[0].content }}').render([{ role: 'user', content: '{{ bos_token }}' }]);
    expect(text).toBe('{{ bos_token }}');
  });

  it('is null for a model without one, and refused if it is not valid Jinja', () => {
    expect(ChatTemplate.from({ ...recall, chatTemplate: null })).toBeNull();
    expect(() => templateOf('{% for %}')).toThrow(Refused);
    expect(() => templateOf('{% for a in messages %}')).toThrow(/it ends within a statement/);
    expect(() => templateOf(`{{ ${'('.repeat(50_000)}1${')'.repeat(50_000)} }}`)).toThrow(/nested too deeply/);
    expect(() => templateOf("{% include 'other' %}")).toThrow(/Unknown statement type: include/);
  });
});
