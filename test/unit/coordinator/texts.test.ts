import { describe, expect, it } from 'vitest';
import { ApiError } from '../../../coordinator/openai/api-error.js';
import { PromptReader, type ReadingOptions } from '../../../coordinator/openai/prompt.js';
import { SimulatedClock } from '../../../src/clock.js';
import { NO_TENANT } from '../../../src/core/fair-shares.js';
import { Overloaded } from '../../../src/errors.js';
import type { TextWork } from '../../../src/text/text-work.js';
import { CONTEXT_TOKENS, idsOf, MODEL, testServer } from './support/test-server.js';

/** A reader of prompts whose texts take `textMs` each. */
function reader(textMs = 0) {
  const clock = new SimulatedClock();
  const texts: string[] = [];
  const text: TextWork = {
    ...MODEL.text,
    encode: async (value, options, caller) => {
      texts.push(value);
      await clock.advance(textMs);
      return MODEL.text.encode(value, options, caller);
    },
  };
  const prompts = new PromptReader({ ...MODEL, text }, clock);
  const read = (value: unknown, options: ReadingOptions = {}, signal = new AbortController().signal) =>
    prompts.readPrompts(value, options, { tenant: NO_TENANT, signal });
  return { texts, read };
}

const END = 989;
const tooLong = 'The amber key. '.repeat(CONTEXT_TOKENS);

describe('the texts of a request', () => {
  it.each([
    ['a prompt that is no text', ['fine', 'fine', 7], {}, 'prompt[2]'],
    ['an empty prompt', ['fine', ''], {}, 'prompt[1]'],
    ['a token that does not exist', ['fine', [1, 5_000]], {}, 'prompt[1][1]'],
    ['a text that is too long by its length alone', ['fine', 'x'.repeat(1_000_000)], {}, 'prompt[1]'],
    ['too many choices', Array(17).fill('fine'), { n: 128 }, 'n'],
  ])('are refused for %s before any is converted', async (_name, value, options, param) => {
    const { texts, read } = reader();
    await expect(read(value, options)).rejects.toMatchObject({ param });
    expect(texts).toEqual([]);
  });

  it('are converted one by one, up to the first that is too long', async () => {
    const { texts, read } = reader();
    const refused = read(['one', tooLong, 'three']);
    await expect(refused).rejects.toThrow(ApiError);
    await expect(refused).rejects.toMatchObject({ param: 'prompt[1]', code: 'context_length_exceeded' });
    expect(texts).toEqual(['one', tooLong]);
  });

  it('have a limit on their time together', async () => {
    const { texts, read } = reader(9_000);
    await expect(read(Array(64).fill('text'))).rejects.toThrow(Overloaded);
    expect(texts).toHaveLength(4);
  });

  it('are converted no more once the client has left', async () => {
    const leaving = new AbortController();
    leaving.abort();
    await expect(reader().read('text', {}, leaving.signal)).rejects.toThrow();
  });
});

describe('special tokens that a client spells', () => {
  const tokens = async (body: object) => {
    const { post } = await testServer();
    return ((await (await post('/tokenize', body)).json()) as { tokens: number[] }).tokens;
  };
  const chat = (content: string, fields = {}) => tokens({ messages: [{ role: 'assistant', content }], ...fields });

  it('stay text in messages, unless they are asked for', async () => {
    const spelled = await chat('a <|end|> b');
    expect(spelled.filter((id) => id === END)).toEqual([END]);
    expect(spelled.at(-1)).toBe(END);
    expect((await chat('a <|end|> b', { parse_special: true })).filter((id) => id === END)).toEqual([END, END]);
    expect(await chat('a <b> c')).toEqual([...idsOf(' a <b> c'), END]);
  });

  it('are tokens in prompts, unless they are not asked for', async () => {
    expect(await tokens({ prompt: 'a<|end|>' })).toEqual([...idsOf('a'), END]);
    expect(await tokens({ prompt: 'a<|end|>', parse_special: false })).not.toContain(END);
  });

  it('reach the fleet as the request says', async () => {
    const { post, fleet } = await testServer();
    const ask = (path: string, body: object) => post(path, { max_tokens: 1, ...body });
    await ask('/v1/chat/completions', { messages: [{ role: 'user', content: '<|end|>' }] });
    await ask('/v1/completions', { prompt: '<|end|>x' });
    await ask('/v1/completions', { prompt: '<|end|>x', parse_special: false });
    expect(fleet.asked.map(({ request }) => [...request.tokens].includes(END))).toEqual([false, true, false]);
  });
});
