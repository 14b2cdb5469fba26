import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CHAT_PARAMETERS } from '../../../coordinator/openai/parameters/chat-parameters.js';
import { COMPLETION_PARAMETERS } from '../../../coordinator/openai/parameters/completion-parameters.js';
import { MESSAGE_PARAMETERS } from '../../../coordinator/openai/parameters/message-parameters.js';
import type { ParameterTable } from '../../../coordinator/openai/parameters/parameter.js';
import { RESPONSE_PARAMETERS } from '../../../coordinator/openai/parameters/response-parameters.js';
import { saying } from './support/scripted-fleet.js';
import { idsOf, type TestServer, testServer } from './support/test-server.js';

const ENDPOINTS = [
  { path: '/v1/completions', table: COMPLETION_PARAMETERS as ParameterTable, least: { prompt: 'the' } },
  {
    path: '/v1/chat/completions',
    table: CHAT_PARAMETERS as ParameterTable,
    least: { messages: [{ role: 'user', content: 'hello' }] },
  },
  { path: '/v1/responses', table: RESPONSE_PARAMETERS as ParameterTable, least: { input: 'hello' } },
  {
    path: '/v1/messages',
    table: MESSAGE_PARAMETERS as ParameterTable,
    least: { messages: [{ role: 'user', content: 'hello' }], max_tokens: 9 },
  },
];

async function talkative(): Promise<TestServer> {
  const server = await testServer();
  server.fleet.script = () => saying(idsOf(' yes'));
  return server;
}

/** The names of the members of an interface in the types of OpenAI's SDK. */
function membersOf(file: string, name: string): string[] {
  const text = readFileSync(new URL(`../../../node_modules/openai/resources/${file}.d.ts`, import.meta.url), 'utf8');
  const body = new RegExp(`export interface ${name} \\{\\n([\\s\\S]*?)\\n\\}`).exec(text)![1]!;
  return [...body.matchAll(/^ {4}(\w+)\??:/gm)].map((match) => match[1]!);
}

describe('the parameters of completions and chats', () => {
  it.each([
    ['completions', 'CompletionCreateParamsBase', COMPLETION_PARAMETERS],
    ['chat/completions/completions', 'ChatCompletionCreateParamsBase', CHAT_PARAMETERS],
    ['responses/responses', 'ResponseCreateParamsBase', RESPONSE_PARAMETERS],
  ])('include all that OpenAI’s SDK knows for %s', (file, name, table) => {
    const known = membersOf(file, name);
    expect(known.length).toBeGreaterThan(15);
    expect(known.filter((member) => !(member in table))).toEqual([]);
  });

  it.each(ENDPOINTS)(
    'of $path that are refused get a 400 that names them, unless they ask for nothing',
    async (endpoint) => {
      const { post } = await talkative();
      for (const [name, parameter] of Object.entries(endpoint.table)) {
        if (parameter.use !== 'refused') continue;
        const answer = await post(endpoint.path, { ...endpoint.least, [name]: { asks: 'for something' } });
        expect([name, answer.status]).toEqual([name, 400]);
        const { error } = (await answer.json()) as { error: { param: string; message: string } };
        expect(error).toMatchObject({ param: name, message: expect.stringMatching(`^${name}: is not supported; \\w`) });
        for (const value of [...parameter.neutral, null]) {
          const accepted = await post(endpoint.path, { ...endpoint.least, [name]: value });
          expect([name, value, accepted.status]).toEqual([name, value, 200]);
        }
      }
    },
  );

  it.each(ENDPOINTS.slice(0, 2))(
    'of $path that nobody knows are ignored, logged once, and listed',
    async ({ path, least }) => {
      const { post, logged } = await talkative();
      const body = { ...least, temprature: 0, stream_options: { include_usage: true, colour: 'red' } };
      const whole = (await (await post(path, body)).json()) as { shoal: object; usage: { shoal: object } };
      expect(whole.shoal).toMatchObject({ ignored: ['temprature', 'stream_options.colour'] });
      expect(whole.usage.shoal).toEqual(whole.shoal);
      const stream = await (await post(path, { ...body, stream: true })).text();
      expect(stream).toContain('"ignored":["temprature","stream_options.colour"]');
      expect(logged.filter((line) => line.includes('temprature'))).toHaveLength(1);
      expect((await (await post(path, least)).json()) as object).not.toHaveProperty('shoal.ignored');
    },
  );

  it('that nobody knows are listed up to a bound', async () => {
    const { post, logged } = await talkative();
    const many = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`field${i}${'x'.repeat(100)}`, 1]));
    const answer = await post('/v1/completions', { prompt: 'the', ...many });
    const { shoal } = (await answer.json()) as { shoal: { ignored: string[] } };
    expect(shoal.ignored).toHaveLength(32);
    expect(Math.max(...shoal.ignored.map((name) => name.length))).toBe(64);
    for (let i = 0; i < 20; i++) {
      const more = Object.fromEntries(Array.from({ length: 32 }, (_, k) => [`more${i}-${k}`, 1]));
      await post('/v1/completions', { prompt: 'the', ...more });
    }
    const names = logged.flatMap((line) => (JSON.parse(line) as { parameters?: string[] }).parameters ?? []);
    expect(names).toHaveLength(256);
  });

  it('never make a 5xx, alone or together, whatever their values', async () => {
    const { post } = await talkative();
    const odd = fc.oneof(
      fc.constantFrom(
        null,
        true,
        false,
        -1,
        0,
        1,
        1.5,
        1e308,
        '',
        'x',
        '\ud800',
        [],
        {},
        [[]],
        [null],
        [1],
        ['x'],
        [{}],
      ),
      fc.constantFrom<unknown>(
        { type: 'text' },
        { type: 'function' },
        { '0': 1 },
        { __proto__: null },
        { a: { b: [] } },
      ),
      fc.jsonValue({ maxDepth: 3 }),
    );
    const bodies = fc
      .constantFrom(...ENDPOINTS)
      .chain(({ path, table, least }) =>
        fc
          .dictionary(fc.constantFrom(...Object.keys(table), 'unknown', 'constructor', 'toString'), odd, { maxKeys: 3 })
          .map((fields) => ({ path, body: { ...least, ...fields } as unknown })),
      );
    await fc.assert(
      fc.asyncProperty(bodies, async ({ path, body }) => {
        const answer = await post(path, body);
        await answer.arrayBuffer();
        expect(answer.status).toBeLessThan(500);
      }),
      { numRuns: 600, seed: 1 },
    );
  });
});
