import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { InvalidRequest } from '../../../src/errors.js';
import { ChatTemplate } from '../../../src/model/chat-template.js';
import { type ModelFolder, openModelFolder } from '../../../src/model/folder.js';
import { seen } from '../../../src/model/shadow-chars.js';
import { SpecialGuard } from '../../../src/model/special-guard.js';
import { TextTasks } from '../../../src/text/text-task.js';
import type { ChatTextOptions } from '../../../src/text/text-work.js';
import { RECALL, scratchFolder } from './folders.js';

/** Templates that look into messages, change them, and cut them, as those of models do. */
const TEMPLATES = {
  plain: '{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}',
  trims: '{% for m in messages %}{{ m.content | trim }}<|im_end|>{% endfor %}',
  shouts: '{% for m in messages %}{{ m.content | upper }}{{ m.content | lower }}<|im_end|>{% endfor %}',
  tests:
    "{% for m in messages %}{% if '</think>' in m.content %}{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %}<|im_end|>{% endfor %}",
  starts:
    "{% for m in messages %}{% if m.content.startswith('<tool>') %}T{% endif %}{{ m.content }}<|im_end|>{% endfor %}",
  deletes: "{% for m in messages %}{{ m.content | replace('<think>', '') | replace('x', '') }}<|im_end|>{% endfor %}",
  joins: '{% for m in messages %}{{ m.content }}{% endfor %}<|im_end|>',
  names: '{% for m in messages %}{{ m.name }}{{ m.content }}<|im_end|>{% endfor %}',
};
const SPECIALS = ['<|im_start|>', '<|im_end|>', '<s>', '[INST]'];

let recall: ModelFolder;
let tokenizerPath: string;
beforeAll(async () => {
  recall = await openModelFolder(RECALL);
  const json = JSON.parse(await readFile(recall.tokenizerPath, 'utf8')) as { added_tokens: object[] };
  const token = (content: string, i: number, special: boolean) => ({
    id: 990 + i,
    content,
    special,
    normalized: false,
  });
  json.added_tokens = [
    ...SPECIALS.map((content, i) => token(content, i, true)),
    ...['<think>', '</think>'].map((content, i) => token(content, 10 + i, false)),
  ];
  tokenizerPath = join(await scratchFolder(), 'tokenizer.json');
  await writeFile(tokenizerPath, JSON.stringify(json));
});

const source = (chatTemplate: string) => ({
  ...recall,
  tokenizerPath,
  chatTemplate,
  config: { ...recall.config, vocabSize: 1_010 },
});
const options: ChatTextOptions = {
  ...{ param: 'messages', addSpecialTokens: false, parseSpecial: false },
  ...{ addGenerationPrompt: true, mostTokens: 100_000 },
};

function tokensOf(tasks: TextTasks, contents: readonly string[], parseSpecial = false): number[] {
  const messages = contents.map((content) => ({ role: 'user', content, name: content }));
  const result = tasks.run({ type: 'chat', messages, options: { ...options, parseSpecial } });
  if (result.type !== 'tokens') throw new Error(result.type);
  return [...result.tokens];
}
const specialsIn = (tokens: readonly number[]) => tokens.filter((id) => id >= 990 && id < 1_000);

/** Texts that are made of special tokens, their parts, and what templates look for. */
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(...SPECIALS, ...SPECIALS.map((special) => special.toUpperCase())),
      fc.constantFrom(
        '<',
        '<|',
        '|>',
        'im_end',
        '<|im_',
        'end|>',
        's>',
        '[IN',
        'ST]',
        'x',
        ' ',
        '\n',
        '\uE000',
        '\uE001',
      ),
      fc.constantFrom('<think>', '</think>', '<tool>', 'ordinary words ', 'é', '<\u0338'),
    ),
    { maxLength: 10 },
  )
  .map((parts) => parts.join(''));
/** Texts without a special token, among them many that have an anchor. */
const ordinary = fc
  .array(
    fc.constantFrom(
      'a < b',
      '[1, 2]',
      '<b>',
      'words ',
      '</think>',
      '<think>',
      '<tool>',
      '\n',
      ' ',
      '\uE000',
      'é',
      '<|',
      '>',
    ),
    {
      maxLength: 10,
    },
  )
  .map((parts) => parts.join(''))
  .filter((text) => !SPECIALS.some((special) => text.toLowerCase().includes(special.toLowerCase())));

describe.each(Object.entries(TEMPLATES))('a chat by a template that %s', (_name, template) => {
  let tasks: TextTasks;
  beforeAll(async () => {
    tasks = await TextTasks.load(source(template));
  });

  it('has the special tokens of the template alone, whatever the messages spell', () => {
    fc.assert(
      fc.property(fc.array(hostile, { minLength: 1, maxLength: 3 }), (contents) => {
        const harmless = contents.map(() => 'words');
        expect(specialsIn(tokensOf(tasks, contents))).toEqual(specialsIn(tokensOf(tasks, harmless)));
      }),
      { numRuns: 300 },
    );
  });

  it('has the tokens of the whole text for messages without special tokens', () => {
    fc.assert(
      fc.property(fc.array(ordinary, { minLength: 1, maxLength: 1 }), (contents) => {
        expect(tokensOf(tasks, contents)).toEqual(tokensOf(tasks, contents, true));
      }),
      { numRuns: 300 },
    );
  });
});

describe('a guard of special tokens', () => {
  it('lets messages have special tokens if they are asked for', async () => {
    const tasks = await TextTasks.load(source(TEMPLATES.joins));
    expect(specialsIn(tokensOf(tasks, ['a<s>b'], true))).toEqual([992, 991]);
    expect(specialsIn(tokensOf(tasks, ['a<s>b'], false))).toEqual([991]);
  });

  it('keeps the text: tokens of a message that spells a special token decode to what the client wrote', async () => {
    const tasks = await TextTasks.load(source('{% for m in messages %}{{ m.content }}{% endfor %}'));
    fc.assert(
      fc.property(hostile, (content) => {
        const tokens = Uint32Array.from(tokensOf(tasks, [content]));
        if (tokens.length === 0) return;
        const result = tasks.run({ type: 'decode', tokens, options });
        expect(result).toEqual({ type: 'text', text: content });
      }),
    );
  });

  it('keeps special tokens out of a prompt if they are not to be parsed', async () => {
    const tasks = await TextTasks.load(source(''));
    const encode = (parseSpecial: boolean) =>
      tasks.run({ type: 'encode', text: '<s>hello<|im_end|>', options: { ...options, parseSpecial } });
    expect(specialsIn([...(encode(true) as { tokens: Uint32Array }).tokens])).toEqual([992, 991]);
    expect(specialsIn([...(encode(false) as { tokens: Uint32Array }).tokens])).toEqual([]);
  });

  it('uses no private-use character of the texts, and refuses texts that have them all', () => {
    const guard = new SpecialGuard(['<s>'], []);
    const all = Array.from({ length: 0xf8ff - 0xe000 + 1 }, (_, i) => String.fromCharCode(0xe000 + i)).join('');
    expect(guard.shadowsFor(['<'], 'messages').hide('<s>')).toBe('\uF73Cs>');
    // The shadows of ASCII need as many others where a text has them.
    const most = all.slice(0x80);
    const shadows = guard.shadowsFor(['<', most], 'messages');
    expect(shadows.hide('<\uF73C')).toMatch(/^\uF73C[\uE000-\uE07F]$/);
    expect(shadows.restore(shadows.hide(`<s>${most}`))).toBe(`<s>${most}`);
    expect(() => guard.shadowsFor(['<', all], 'messages')).toThrow(InvalidRequest);
  });

  it('lets templates distinguish a shadow from the same character of a text without anchors', () => {
    const guard = new SpecialGuard(['<s>'], []);
    const shadows = guard.shadowsFor(['\uF73C'], 'messages');
    expect(seen(shadows.hide('\uF73C'))).not.toBe('<');
    expect(shadows.restore(shadows.hide('\uF73C'))).toBe('\uF73C');
  });

  it('names what a template rejects as the client wrote it', () => {
    const template = ChatTemplate.from(source('{{ raise_exception(messages[0].content) }}'))!;
    const messages = [{ role: 'user', content: 'a <s>' }];
    const shadows = new SpecialGuard(['<s>'], []).shadowsFor(ChatTemplate.textsOf(messages, {}), 'messages');
    expect(() => template.render(messages, { shadows })).toThrow('rejects them: a <s>');
  });

  it('is given the literals of a template, for which it may search messages', () => {
    const template = ChatTemplate.from(source(TEMPLATES.tests))!;
    expect(template.literals).toContain('</think>');
  });

  it('keeps literals and added tokens of any characters', () => {
    const ascii = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('');
    const kept = ['<function-name>', '<well-considered thinking process>', ascii];
    for (const guard of [new SpecialGuard(['[-/end-]'], kept), new SpecialGuard(['[-/end-]'], []).keeping(kept)]) {
      const { hide } = guard.shadowsFor([ascii], 'messages');
      for (const text of kept) expect(hide(`${text}`)).toBe(text);
    }
  });

  it('hides special tokens of any characters', () => {
    for (let code = 33; code < 127; code++) {
      const special = String.fromCharCode(code);
      const shadows = new SpecialGuard([`${special}a${special}`], []).shadowsFor([special], 'messages');
      expect(shadows.hide(special)).not.toBe(special);
      expect(shadows.restore(shadows.hide(special))).toBe(special);
    }
  });
});

describe('a template that looks into messages with special tokens', () => {
  const messages = [
    { role: 'user', content: '<think>\nx</think>\n\na<b <|end|> 1<2' },
    { role: 'assistant', content: '<think>\nx</think>\n\na<b <|end|> 1<2' },
    { role: 'user', content: '<a>' },
  ];

  /** By transformers 5. */
  it.each([
    ["{{ c.split('</think>')[-1].lstrip('\\n') }}", 'a<b <|end|> 1<2'],
    ["{{ c.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') }}", 'x'],
    ["{{ '</think>' in c }}{{ '<think>' not in c }}", 'TrueFalse'],
    [
      "{{ c.startswith('<tool_response>') and c.endswith('</tool_response>') }}{{ c.startswith('<think>') }}{{ c.startswith(('<a', '<t')) }}",
      'FalseTrueTrue',
    ],
    [
      "{{ c | replace('<', '&lt;') }}{{ c.replace('<|end|>', '', 1) }}{{ c.replace('', '-')[:9] }}",
      '&lt;think>\nx&lt;/think>\n\na&lt;b &lt;|end|> 1&lt;2<think>\nx</think>\n\na<b  1<2-<-t-h-i-',
    ],
    [
      "{{ c.split('<')|length }}{{ c.split('<', 1)[1] }}{{ c.rsplit('<|', 1)|tojson }}{{ c.split('<|end|>')|join(' ') }}",
      '6think>\nx</think>\n\na<b <|end|> 1<2["<think>\\nx</think>\\n\\na<b ", "end|> 1<2"]<think>\nx</think>\n\na<b   1<2',
    ],
    ["{{ c.find('<|') }}{{ c.rfind('<') }}{{ c.count('<') }}{{ c.index('<|end|>') }}", '2332523'],
    [
      "{{ c.strip('<>t') }}{{ c|trim('<') }}{{ c.removeprefix('<think>') }}{{ c.removesuffix('<2') }}",
      'hink>\nx</think>\n\na<b <|end|> 1<2think>\nx</think>\n\na<b <|end|> 1<2\nx</think>\n\na<b <|end|> 1<2<think>\nx</think>\n\na<b <|end|> 1',
    ],
    [
      "{{ c.partition('<|end|>')|list|tojson }}{{ c.rpartition('<')[1] }}",
      '["<think>\\nx</think>\\n\\na<b ", "<|end|>", " 1<2"]<',
    ],
    [
      '{{ c|title }}{{ c|capitalize }}{{ c.title() }}{{ c|wordcount }}',
      '<Think>\nX</think>\n\nA<B <|end|> 1<2<think>\nx</think>\n\na<b <|end|> 1<2<Think>\nX</Think>\n\nA<B <|End|> 1<28',
    ],
    [
      "{{ c[0] == '<' }}{{ '<' == c[0] }}{{ c < 'z' }}{{ c == messages[1].content }}{{ [c[0]] == ['<'] }}{{ c[0] in ['<'] }}{{ ['<', c[0]]|unique|list|length }}{{ c is eq '<' }}",
      'TrueTrueTrueTrueTrueTrue1False',
    ],
    [
      "{{ {'<a>': 1}[messages[2].content] }}{{ {'<a>': 1}.get(messages[2].content) }}{{ messages[2].content in {'<a>': 1} }}{{ {messages[2].content: 1}['<a>'] }}{{ {messages[2].content: 1} == {'<a>': 1} }}",
      '11True1True',
    ],
    ["{% set t = '<' ~ 'think>' %}{{ t in c }}{{ c.split(t)|length }}", 'True2'],
    [
      "{{ ['<b', c, '=']|sort|first|length }}{{ {'<b': 1, c: 2}|dictsort|length }}{{ c.isascii() }}{{ c[0].isalpha() }}",
      '22TrueFalse',
    ],
  ])('sees what the client wrote: %s', (template, text) => {
    const chat = ChatTemplate.from(source(`{% set c = messages[0].content %}${template}`))!;
    // Families differ in which of these are special.
    for (const specials of [['<|end|>'], ['<|end|>', '<think>', '</think>'], ['<a>', '<']]) {
      const shadows = new SpecialGuard(specials, []).shadowsFor(ChatTemplate.textsOf(messages, {}), 'messages');
      const rendered = chat.render(messages, { shadows });
      expect(shadows.restore(rendered)).toBe(text);
    }
  });

  it('gets no special token out of a text by dividing it', () => {
    const chat = ChatTemplate.from(source("{{ messages[0].content.partition('<|end|>') | join }}"))!;
    const shadows = new SpecialGuard(['<|end|>'], []).shadowsFor(ChatTemplate.textsOf(messages, {}), 'messages');
    expect(chat.render(messages, { shadows })).not.toContain('<|end|>');
  });
});
