import { afterEach, describe, expect, it, vi } from 'vitest';
import { BodyBudget } from '../../../../coordinator/http/body-budget.js';
import type { HttpRoute } from '../../../../coordinator/http/route.js';
import { send } from '../support/raw.js';
import { testServer } from '../support/test-server.js';

/** Callers that have proved nothing: without a key, or pages of other sites. */

const { routes } = vi.hoisted(() => ({ routes: [] as HttpRoute[] }));
vi.mock('../../../../coordinator/http/server.js', async (original) => {
  const module = await original<typeof import('../../../../coordinator/http/server.js')>();
  const listen: typeof module.listen = (served, ...rest) => {
    routes.splice(0, Number.POSITIVE_INFINITY, ...served);
    return module.listen(served, ...rest);
  };
  return { ...module, listen };
});

afterEach(() => vi.restoreAllMocks());

const BODY = '{"x":[1,2,3]}';
const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'];
const pathOf = ({ path }: HttpRoute) => path.replace(/:\w+/g, 'x').replace('*', 'x');

/** Sends a body to each route with each method. Resolves with the answers, and the bodies that were read into memory. */
async function sendAll(url: string, headers: readonly string[]) {
  const read = vi.spyOn(BodyBudget.prototype, 'open');
  const statuses = new Map<string, number>();
  for (const path of new Set(routes.map(pathOf))) {
    for (const method of METHODS) {
      const first = `${method} ${path}`;
      const { status } = await send(url, first, [...headers, `content-length: ${BODY.length}`], BODY);
      statuses.set(first, status);
    }
  }
  return { statuses, read: read.mock.calls.length };
}

describe('the body of a stranger', () => {
  it.each([
    ['without a key', ['host: localhost', 'content-type: application/json']],
    ['without a key, of another type', ['host: localhost', 'content-type: text/plain']],
    ['of a page of another site', ['host: 10.9.8.7', 'origin: http://evil.example', 'content-type: text/plain']],
  ])('%s is read by no route with any method', async (_, headers) => {
    const { url } = await testServer({ apiKeys: ['a-key-that-is-long-enough', 'another-key-of-such-length'] });
    const { statuses, read } = await sendAll(url, headers);
    expect(statuses.size).toBeGreaterThan(6 * 30);
    expect(read).toBe(0);
    expect([...statuses].filter(([, status]) => status < 400)).toEqual([]);
  });

  it('is read by no route that a page of another site may call, where no keys are set', async () => {
    const { url } = await testServer();
    const { statuses, read } = await sendAll(url, ['host: localhost', 'origin: http://evil.example']);
    expect(read).toBe(0);
    expect([...statuses].filter(([, status]) => status < 400)).toEqual([]);
  });

  it('is refused in chunks too, and none is needed to learn that the coordinator lives', async () => {
    const { url } = await testServer();
    const chunked = ['host: localhost', 'transfer-encoding: chunked'];
    expect((await send(url, 'POST /ping', chunked, '1\r\n{\r\n0\r\n\r\n')).status).toBe(413);
    for (const first of ['GET /ping', 'POST /ping']) {
      expect((await send(url, first, ['host: localhost', 'content-length: 0'])).status).toBe(200);
      expect((await send(url, first, ['host: localhost'])).status).toBe(200);
    }
  });
});
