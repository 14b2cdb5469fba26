import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CHAT_PARAMETERS } from '../../../../coordinator/openai/parameters/chat-parameters.js';
import { testServer } from '../support/test-server.js';

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
