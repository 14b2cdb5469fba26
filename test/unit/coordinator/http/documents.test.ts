import { createHash } from 'node:crypto';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { CHAT_PARAMETERS } from '../../../../coordinator/openai/parameters/chat-parameters.js';
import { saying } from '../support/scripted-fleet.js';
import { idsOf, testServer } from '../support/test-server.js';

interface Document {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, { operationId: string; parameters?: { name: string }[] }>>;
}

/** Every `$ref` in a JSON value. */
function refsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => (key === '$ref' ? [inner as string] : refsIn(inner)));
}

describe('the documents of the API', () => {
  it('describe each route once, with the names in its path and the schema of its body', async () => {
    const { url } = await testServer();
    const document = (await (await fetch(`${url}/openapi.json`)).json()) as Document;
    expect(document.openapi).toBe('3.1.0');
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining(['/v1/completions', '/v1/models/{path}', '/v1/fleet/workers/{id}/drain', '/metrics']),
    );
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.values(methods).map((operation) => ({ path, ...operation })),
    );
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    for (const { path, parameters = [] } of operations) {
      expect(parameters.map(({ name }) => name)).toEqual([...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]));
    }
    expect(document).toHaveProperty(
      ['paths', '/v1/chat/completions', 'post', 'requestBody', 'content', 'application/json', 'schema', 'properties'],
      expect.objectContaining(
        Object.fromEntries(Object.keys(CHAT_PARAMETERS).map((name) => [name, expect.anything()])),
      ),
    );
    expect(new Set(refsIn(document))).toEqual(new Set(['#/components/schemas/Error']));
    expect(JSON.stringify(document)).not.toContain('"override"');
  });

  it('describe the answers that generate, as they are', async () => {
    const server = await testServer();
    server.fleet.script = () => saying(idsOf(' Yes.'));
    const { paths } = (await (await fetch(`${server.url}/openapi.json`)).json()) as {
      paths: Record<
        string,
        Record<string, { responses: Record<string, { content: Record<string, { schema: object }> }> }>
      >;
    };
    const ajv = new Ajv2020({ strict: false });
    const expectDescribed = async (method: string, path: string, answer: Response) => {
      const { schema } = paths[path]![method]!.responses[200]!.content['application/json']!;
      expect([path, Object.keys(schema)]).toEqual([path, expect.arrayContaining(['properties', 'required'])]);
      expect(answer.status).toBe(200);
      const body: unknown = await answer.json();
      expect([path, ajv.validate(schema, body), ajv.errors]).toEqual([path, true, null]);
      return body as { id: string };
    };
    const messages = [{ role: 'user', content: 'Is it warm? '.repeat(50) }];
    const post = (path: string, body: object) =>
      server.post(path, body).then((answer) => expectDescribed('post', path, answer));
    await post('/v1/chat/completions', { messages });
    await post('/v1/completions', { prompt: 'the' });
    await post('/v1/messages', { messages, max_tokens: 9 });
    await post('/v1/messages/count_tokens', { messages });
    const { id } = await post('/v1/responses', { input: 'Warm?' });
    const get = async (path: string, name = '') =>
      expectDescribed('get', path, await fetch(server.url + path.replace(/\{\w+\}/, name)));
    await get('/v1/responses/{id}', id);
    await get('/v1/responses/{id}/input_items', id);
    await get('/v1/models');
    await get('/v1/models/{path}', 'recall');
  });

  it('include a page that asks nothing of other servers, and whose style the browser allows', async () => {
    const { url } = await testServer();
    const answer = await fetch(`${url}/docs`);
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const page = await answer.text();
    expect(page).toContain('POST /v1/chat/completions');
    expect(page).not.toMatch(/<script|https?:|src=/);
    const style = /<style>(.*?)<\/style>/s.exec(page)![1]!;
    const hash = createHash('sha256').update(style).digest('base64');
    expect(answer.headers.get('content-security-policy')).toContain(`style-src 'sha256-${hash}'`);
  });
});
