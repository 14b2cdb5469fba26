import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { InvalidRequest } from '../../../src/errors.js';
import { ChatTemplate } from '../../../src/model/chat-template.js';
import { type ModelFolder, openModelFolder } from '../../../src/model/folder.js';
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
    const shadows = guard.shadowsFor(['<', all.slice(0, -1)], 'messages');
    expect(shadows.hide('<s>')).toBe('\uF8FFs>');
    expect(shadows.restore(shadows.hide('<s>\uE000'))).toBe('<s>\uE000');
    expect(() => guard.shadowsFor(['<', all], 'messages')).toThrow(InvalidRequest);
  });

  it('is given the literals of a template, for which it may search messages', () => {
    const template = ChatTemplate.from(source(TEMPLATES.tests))!;
    expect(template.literals).toContain('</think>');
  });
});
