import { describe, expect, it } from 'vitest';
import { send } from '../support/raw.js';
import { saying } from '../support/scripted-fleet.js';
import { idsOf, testServer } from '../support/test-server.js';

/** What a browser sends for a page of another site, byte for byte. */

const JSON_TYPE = 'content-type: application/json';
const FOREIGN = ['origin: http://evil.example', 'sec-fetch-site: cross-site'];
const APP = 'http://app.example';
const own = ({ url }: { url: string }) => `host: ${new URL(url).host}`;
const length = (body: string) => `content-length: ${Buffer.byteLength(body)}`;

describe('a page of another site', () => {
  it.each([
    ['a POST without a body, as no-cors sends it', ['sec-fetch-mode: no-cors', ...FOREIGN, 'content-length: 0']],
    ['the same from an old browser, which sends an origin only', ['origin: http://evil.example', 'content-length: 0']],
    ['the same from a sandboxed frame', ['origin: null', 'sec-fetch-site: cross-site', 'content-length: 0']],
    [
      'the same from another port of this machine',
      ['origin: http://127.0.0.1:1', 'sec-fetch-site: same-site', 'content-length: 0'],
    ],
    ['the same with the type of JSON', [JSON_TYPE, ...FOREIGN, 'content-length: 0']],
    ['a request without an origin', [JSON_TYPE, 'sec-fetch-site: cross-site', 'content-length: 0']],
  ])('cannot drain, undrain or reset: %s is refused', async (_, headers) => {
    const server = await testServer();
    for (const path of ['/v1/fleet/workers/w1/drain', '/v1/fleet/workers/w1/undrain', '/reset_prefix_cache']) {
      const { status, body } = await send(server.url, `POST ${path}`, [own(server), ...headers]);
      expect([path, status]).toEqual([path, 403]);
      expect(JSON.parse(body)).toMatchObject({ error: { code: 'origin_not_allowed', type: 'permission_error' } });
    }
    expect(server.fleet.calls).toEqual([]);
  });

  it('can neither generate nor read', async () => {
    const server = await testServer();
    const body = '{"prompt":"x"}';
    for (const type of [JSON_TYPE, 'content-type: text/plain']) {
      const headers = [own(server), ...FOREIGN, type, length(body)];
      expect((await send(server.url, 'POST /v1/completions', headers, body)).status).toBe(403);
    }
    for (const path of ['/v1/fleet', '/metrics', '/v1/models'])
      expect((await send(server.url, `GET ${path}`, [own(server), ...FOREIGN])).status).toBe(403);
    const preflight = await send(server.url, 'OPTIONS /v1/completions', [
      ...[own(server), ...FOREIGN, 'access-control-request-method: POST'],
      'access-control-request-headers: content-type',
    ]);
    expect(preflight.status).toBe(403);
    expect([...preflight.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
    expect(server.fleet.asked).toEqual([]);
  });

  it('learns that the coordinator lives, and nothing else', async () => {
    const server = await testServer();
    const { status, headers } = await send(server.url, 'GET /health/live', [own(server), ...FOREIGN]);
    expect([status, headers.get('access-control-allow-origin')]).toEqual([200, undefined]);
  });
});

describe('a host name of a stranger (DNS rebinding)', () => {
  it.each(['/health', '/health/live', '/health/ready'])(
    'does not read %s, which probes by address may',
    async (path) => {
      const server = await testServer({ allowedHosts: ['balancer.example'] });
      const ask = async (...hosts: string[]) =>
        (
          await send(
            server.url,
            `GET ${path}`,
            hosts.map((host) => `host: ${host}`),
          )
        ).status;
      expect([await ask('evil.example'), await ask('10.0.0.7.evil.example:80')]).toEqual([403, 403]);
      expect([await ask('10.0.0.7'), await ask('[fd00::7]:8080'), await ask('localhost')]).toEqual([200, 200, 200]);
      expect([await ask('balancer.example'), await ask('10.0.0.7', 'evil.example'), await ask()]).toEqual([
        200, 400, 400,
      ]);
    },
  );

  it('reads nothing and changes nothing', async () => {
    const server = await testServer();
    const body = '{"prompt":"x"}';
    const rebound = [`host: evil.example:${new URL(server.url).port}`, 'sec-fetch-site: same-origin'];
    for (const first of [
      'GET /v1/fleet',
      'GET /metrics',
      'GET /v1/nothing',
      'OPTIONS /v1/completions',
      'PUT /v1/fleet',
    ]) {
      const answer = await send(server.url, first, rebound);
      expect([first, answer.status]).toEqual([first, 403]);
      expect(JSON.parse(answer.body).error.message).toContain('--allowed-hosts (SHOAL_ALLOWED_HOSTS)');
    }
    for (const path of ['/v1/completions', '/reset_prefix_cache']) {
      const headers = [...rebound, JSON_TYPE, length(body), `origin: http://evil.example:${new URL(server.url).port}`];
      expect((await send(server.url, `POST ${path}`, headers, body)).status).toBe(403);
    }
    expect([server.fleet.asked, server.fleet.calls]).toEqual([[], []]);
  });

  it('is served once it is allowed', async () => {
    const { url } = await testServer({ allowedHosts: ['shoal', '*.example.com'] });
    for (const host of ['shoal', 'shoal:8080', 'SHOAL.', 'api.example.com', 'localhost:1', '[::1]:9', '127.8.9.1'])
      expect([host, (await send(url, 'GET /version', [`host: ${host}`])).status]).toEqual([host, 200]);
    for (const host of ['shoal.evil', 'example.com', 'evilexample.com', '10.0.0.1', '0.0.0.0'])
      expect([host, (await send(url, 'GET /version', [`host: ${host}`])).status]).toEqual([host, 403]);
  });

  it('must be there once, and be the one of the request line', async () => {
    const { url } = await testServer();
    for (const hosts of [
      [],
      ['host: localhost', 'host: localhost'],
      ['host: '],
      ['host: a b'],
      ['host: localhost/@x'],
    ]) {
      const { status, body } = await send(url, 'GET /version', hosts);
      expect([hosts, status]).toEqual([hosts, 400]);
      expect(JSON.parse(body).error.message).not.toBe('');
    }
    expect((await send(url, 'GET http://evil.example/version', ['host: localhost'])).status).toBe(400);
    expect((await send(url, 'GET http://localhost/version', ['host: localhost'])).status).toBe(200);
  });
});

describe('the coordinator itself', () => {
  it('is called by its own pages, by people, and by clients that are no browser', async () => {
    const server = await testServer();
    const origin = `origin: ${server.url}`;
    for (const headers of [[origin, 'sec-fetch-site: same-origin'], ['sec-fetch-site: none'], []]) {
      const all = [own(server), JSON_TYPE, 'content-length: 2', ...headers];
      expect((await send(server.url, 'POST /v1/fleet/workers/w1/drain', all, '{}')).status).toBe(200);
    }
  });

  it('lets other pages link to its own, and nothing else', async () => {
    const server = await testServer();
    const linked = [own(server), 'sec-fetch-site: cross-site', 'sec-fetch-mode: navigate', 'sec-fetch-dest: document'];
    expect((await send(server.url, 'GET /docs', linked)).status).toBe(200);
    const framed = [...linked.slice(0, -1), 'sec-fetch-dest: iframe'];
    const fetched = [own(server), 'sec-fetch-site: cross-site', 'sec-fetch-mode: no-cors', 'sec-fetch-dest: empty'];
    for (const headers of [framed, fetched]) expect((await send(server.url, 'GET /docs', headers)).status).toBe(403);
    for (const route of ['GET /v1/fleet', 'GET /metrics', 'GET /v1/models'])
      expect((await send(server.url, route, linked)).status).toBe(403);
  });

  it('demands the type of JSON in every POST, and says so', async () => {
    const server = await testServer();
    const { status, body } = await send(server.url, 'POST /reset_prefix_cache', [own(server), 'content-length: 0']);
    expect(status).toBe(415);
    expect(JSON.parse(body).error.message).toContain('add the header "content-type: application/json"');
    const typed = [own(server), JSON_TYPE, 'content-length: 0'];
    expect((await send(server.url, 'POST /reset_prefix_cache', typed)).status).toBe(200);
    expect(server.fleet.calls).toEqual(['reset']);
  });

  it('lets no page frame, sniff or keep its answers', async () => {
    const server = await testServer();
    for (const first of ['GET /version', 'GET /nowhere', 'PUT /version', 'GET /health']) {
      const { headers } = await send(server.url, first, [own(server)]);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('strict-transport-security')).toBeUndefined();
    }
  });
});

describe('a page of an allowed origin', () => {
  const page = [`origin: ${APP}`, 'sec-fetch-site: cross-site'];

  it('gets its preflight answered, and may read streams, errors and request ids', async () => {
    const server = await testServer({ allowedOrigins: [APP], apiKeys: ['the-key-of-the-app'] });
    server.fleet.script = () => saying(idsOf(' yes'));
    const preflight = await send(server.url, 'OPTIONS /v1/chat/completions', [
      ...[own(server), ...page, 'access-control-request-method: POST', 'access-control-request-private-network: true'],
      'access-control-request-headers: authorization, content-type, x-stainless-os',
    ]);
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe(APP);
    expect(preflight.headers.get('access-control-allow-methods')).toBe('POST');
    expect(preflight.headers.get('access-control-allow-headers')).toBe('authorization, content-type, x-stainless-os');
    expect(preflight.headers.get('access-control-allow-private-network')).toBe('true');
    const body = '{"stream":true,"messages":[{"role":"user","content":"x"}]}';
    const headers = [own(server), ...page, JSON_TYPE, length(body)];
    const stream = await send(
      server.url,
      'POST /v1/chat/completions',
      [...headers, 'authorization: Bearer the-key-of-the-app'],
      body,
    );
    expect([stream.status, stream.headers.get('access-control-allow-origin')]).toEqual([200, APP]);
    expect(stream.headers.get('access-control-expose-headers')).toContain('x-request-id');
    expect(stream.headers.get('vary')).toBe('origin');
    const refused = await send(server.url, 'POST /v1/chat/completions', headers, body);
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, APP]);
  });

  it('may call the API for generating only', async () => {
    const server = await testServer({ allowedOrigins: ['*'] });
    for (const first of [
      'POST /v1/fleet/workers/w1/drain',
      'POST /reset_prefix_cache',
      'GET /v1/fleet',
      'GET /metrics',
    ]) {
      const headers = [own(server), ...page, JSON_TYPE, ...(first.startsWith('POST') ? ['content-length: 0'] : [])];
      expect([first, (await send(server.url, first, headers)).status]).toEqual([first, 403]);
      const preflight = [own(server), ...page, `access-control-request-method: ${first.split(' ')[0]}`];
      expect((await send(server.url, first.replace(/^\w+/, 'OPTIONS'), preflight)).status).toBe(403);
    }
    expect(server.fleet.calls).toEqual([]);
    const models = await send(server.url, 'GET /v1/models', [
      own(server),
      'origin: null',
      'sec-fetch-site: cross-site',
    ]);
    expect([models.status, models.headers.get('access-control-allow-origin')]).toEqual([200, '*']);
  });

  it('is not another one', async () => {
    const server = await testServer({ allowedOrigins: [APP] });
    for (const origin of ['http://app.example.evil', 'https://app.example', 'http://app.example:81', 'null']) {
      const { status, headers } = await send(server.url, 'GET /v1/models', [own(server), `origin: ${origin}`]);
      expect([origin, status, headers.get('access-control-allow-origin')]).toEqual([origin, 403, undefined]);
      expect(headers.get('vary')).toBe('origin');
    }
  });
});
