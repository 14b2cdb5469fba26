import http, { Agent, createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { callHttp, isThisMachine } from '../../../cli/call-http.js';
import { run } from '../../../cli/program.js';

const { globalAgent } = http;

/** The ways of Node that NODE_USE_ENV_PROXY sends through a proxy. */
function proxyEverything(): string[] {
  const proxied: string[] = [];
  vi.stubGlobal('fetch', async (url: URL) => {
    proxied.push(String(url));
    return new Response('from the proxy');
  });
  http.globalAgent = new (class extends Agent {
    override createConnection(): never {
      throw new Error('the global agent uses the proxy');
    }
  })();
  return proxied;
}

describe('calls over HTTP', () => {
  let server: Server;
  let url: URL;

  beforeEach(async () => {
    server = createServer(async (request, response) => {
      const chunks = await request.toArray();
      if (request.url === '/hang') return;
      response.writeHead(request.url === '/health/ready' ? 200 : 418, { 'x-seen': request.headers['x-key'] ?? '' });
      response.end(`${request.method} ${Buffer.concat(chunks)}`);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/x`);
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    http.globalAgent = globalAgent;
    server.closeAllConnections();
    server.close();
  });

  it('reach this machine without the proxy that the environment names, and others through it', async () => {
    const proxied = proxyEverything();
    const response = await callHttp(url, { method: 'POST', headers: { 'x-key': 'k' }, body: 'said' });
    expect([response.status, response.ok, response.headers.get('x-seen')]).toEqual([418, false, 'k']);
    expect(await response.text()).toBe('POST said');
    expect(proxied).toEqual([]);
    const remote = await callHttp(new URL('http://coordinator.example/'));
    expect([await remote.text(), proxied]).toEqual(['from the proxy', ['http://coordinator.example/']]);
  });

  it('are what `shoal health` makes', async () => {
    proxyEverything();
    const out: string[] = [];
    const io = { out: (text: string) => void out.push(text), err: (text: string) => void out.push(text) };
    expect([await run(['health', '--url', url.origin], { environment: {}, io }), out]).toEqual([0, ['GET\n']]);
  });

  it('fail with the reason as their cause', async () => {
    const signal = AbortSignal.timeout(20);
    await expect(callHttp(new URL('/hang', url), { signal })).rejects.toMatchObject({
      cause: { name: 'TimeoutError' },
    });
    server.close();
    server.closeAllConnections();
    await expect(callHttp(url)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });
  });

  it('know this machine by its loopback and outside addresses', () => {
    const outside = Object.values(networkInterfaces()).flatMap((all) => all?.map(({ address }) => address) ?? []);
    for (const host of ['localhost', '127.0.0.1', '127.9.9.9', '[::1]', ...outside])
      expect([host, isThisMachine(host)]).toEqual([host, true]);
    for (const host of ['example.org', '127.0.0.1.example.org', '203.0.113.7'])
      expect([host, isThisMachine(host)]).toEqual([host, false]);
  });
});
