import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { SystemClock } from '../../src/clock.js';
import { NO_TENANT } from '../../src/core/fair-shares.js';
import { Cancelled, InvalidRequest, Refused } from '../../src/errors.js';
import { SILENT_LOG } from '../../src/log.js';
import { type ModelFolder, openModelFolder } from '../../src/model/folder.js';
import { nodeThreads } from '../../src/text/node-text-thread.js';
import { type TextSource, TextTasks } from '../../src/text/text-task.js';
import { TextThreads } from '../../src/text/text-threads.js';
import type { ChatTextOptions } from '../../src/text/text-work.js';

/** Threads run the built program. */
const PROGRAM = new URL('../../dist/src/text/text-thread.js', import.meta.url);
const options: ChatTextOptions = {
  ...{ param: 'messages', addSpecialTokens: false, parseSpecial: false },
  ...{ addGenerationPrompt: true, mostTokens: 10_000_000 },
};
const live = { tenant: NO_TENANT, signal: new AbortController().signal };
const hello = [{ role: 'user', content: 'hello' }];

let recall: ModelFolder;
let folder: string;
beforeAll(async () => {
  recall = await openModelFolder(new URL('../../models/recall', import.meta.url).pathname);
  folder = await mkdtemp(join(tmpdir(), 'shoal-text-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** @param taskMs long for a test that expects no text to take too long */
async function threadsFor(source: Partial<TextSource> = {}, taskMs = 60_000): Promise<TextThreads> {
  const threads = await TextThreads.start({
    ...{ clock: new SystemClock(), log: SILENT_LOG, taskMs: { short: taskMs, long: taskMs } },
    start: nodeThreads({ ...recall, ...source }, PROGRAM),
  });
  onTestFinished(() => threads.close());
  return threads;
}

async function withRegex(Regex: string): Promise<Partial<TextSource>> {
  const json = JSON.parse(await readFile(recall.tokenizerPath, 'utf8')) as Record<string, unknown>;
  const split = { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false };
  const tokenizerPath = join(folder, 'hostile.json');
  const pretokenizers = [split, { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false }];
  await writeFile(tokenizerPath, JSON.stringify({ ...json, pre_tokenizer: { type: 'Sequence', pretokenizers } }));
  return { tokenizerPath };
}

describe('threads for texts', () => {
  it('give the tokens that the same work gives in the calling thread', async () => {
    const threads = await threadsFor();
    const tasks = await TextTasks.load(recall);
    const content = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('<|end|>', 'The amber key', '\uE000 < b'),
    );
    const messages = fc.array(fc.record({ role: fc.constantFrom('system', 'user', 'assistant'), content }), {
      minLength: 1,
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(messages, fc.boolean(), async (chat, parseSpecial) => {
        const asked = { ...options, parseSpecial };
        const here = tasks.run({ type: 'chat', messages: chat, options: asked });
        expect(await threads.encodeChat(chat, asked, live)).toEqual(here);
        const text = chat.map((message) => message.content).join('');
        const tokens = tasks.run({ type: 'encode', text, options: asked });
        expect(await threads.encode(text, asked, live)).toEqual(tokens);
        if (tokens.type === 'tokens') expect(await threads.decode(tokens.tokens, asked, live)).toBe(text);
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    ['a huge range', '{% for i in range(1000000000) %}x{% endfor %}', /range of more than 100000/],
    [
      'a text that doubles',
      "{% set ns = namespace(s='xxxxxxxxxx') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
      /text of more than/,
    ],
    [
      'a list that doubles',
      '{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}',
      /list of more than/,
    ],
    ['a wide indent', "{{ 'a' | indent(width=500000000, first=true) }}", /text of more than/],
    ['endless recursion', '{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}', /template rejects them/],
  ])('refuse a template with %s, and go on', async (_name, chatTemplate, message) => {
    const threads = await threadsFor({ chatTemplate });
    const refused = threads.encodeChat(hello, options, live);
    await expect(refused).rejects.toThrow(InvalidRequest);
    await expect(refused).rejects.toThrow(message);
    expect((await threads.encode('hello', options, live)).type).toBe('tokens');
  });

  it('refuse a template of nested ranges, by its steps or by its time', async () => {
    const row = '{% for i in range(100000) %}{% if false %}{% endif %}';
    const threads = await threadsFor({ chatTemplate: `${row.repeat(3)}${'{% endfor %}'.repeat(3)}` }, 1_000);
    await expect(threads.encodeChat(hello, options, live)).rejects.toThrow(
      /messages: (the model.s chat template )?takes more than (4000000 steps|1000 ms)/,
    );
  });

  it('end a regular expression that never ends, while the calling thread goes on', async () => {
    const threads = await threadsFor(await withRegex('(a+)+$'), 2_000);
    const refused = expect(threads.encode(`${'a'.repeat(64)}b`, options, live)).rejects.toThrow(
      /takes more than 2000 ms/,
    );
    let turns = 0;
    const counting = setInterval(() => turns++, 1);
    await refused;
    clearInterval(counting);
    expect(turns).toBeGreaterThan(20);
  });

  it('leave a lane to short texts while a long one runs, and stop that one when its client leaves', async () => {
    const threads = await threadsFor();
    const leaving = new AbortController();
    let over = false;
    const long = threads
      .encode('word '.repeat(60_000), options, { tenant: NO_TENANT, signal: leaving.signal })
      .finally(() => {
        over = true;
      });
    const gone = expect(long).rejects.toThrow(Cancelled);
    for (let i = 0; i < 8; i++) await threads.encode('a short text', options, live);
    expect(over).toBe(false);
    leaving.abort();
    await gone;
    expect((await threads.encode('word '.repeat(10_000), options, live)).type).toBe('tokens');
  });

  it('refuse a model whose template is not valid', async () => {
    await expect(threadsFor({ chatTemplate: '{% if %}' })).rejects.toThrow(Refused);
  });
});
