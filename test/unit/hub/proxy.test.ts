import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../src/clock.js';
import { Refused } from '../../../src/errors.js';
import { HubHttp } from '../../../src/hub/hub-http.js';
import { GRANTED } from '../../support/hub-server.js';
import { hubRig, ID, tinyModel } from './rig.js';

const rig = hubRig();
let proxy: Server;
const sockets = new Set<Socket>();
let seen: { line: string; login: string | undefined }[];

beforeEach(async () => {
  seen = [];
  proxy = createServer((incoming, response) => {
    seen.push({ line: `${incoming.method} ${incoming.url}`, login: incoming.headers['proxy-authorization'] });
    const { 'proxy-authorization': _, ...headers } = incoming.headers;
    request(incoming.url!.replace(OUTSIDE, '127.0.0.1'), { headers }, (answer) => {
      const { location } = answer.headers;
      if (location !== undefined) answer.headers.location = outside(location);
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    }).end();
  });
  proxy.on('connect', (incoming, socket) => {
    seen.push({ line: `CONNECT ${incoming.url}`, login: incoming.headers['proxy-authorization'] });
    const [host, port] = incoming.url!.split(':');
    if (port === '1') return socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
    const through = connect(Number(port), host!.replace(OUTSIDE, '127.0.0.1'), () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      through.pipe(socket).pipe(through);
    });
    through.on('error', () => socket.destroy());
    return socket.on('error', () => through.destroy());
  });
  proxy.on('connection', (socket) => sockets.add(socket));
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  proxy.close();
  await once(proxy, 'close');
});

const address = (login = '') => `http://${login}127.0.0.1:${(proxy.address() as AddressInfo).port}`;

/** The name by which the proxy knows 127.0.0.1. No request to this machine itself goes through a proxy. */
const OUTSIDE = 'hub.invalid';
const outside = (url: string) => url.replace('127.0.0.1', OUTSIDE);

describe('a proxy', () => {
  it('carries the whole download, redirects to the store too, and gets its own login', async () => {
    rig.hub.add(ID, await tinyModel());
    const endpoint = outside(rig.hub.endpoint);
    await rig.pull(ID, { environment: { HF_ENDPOINT: endpoint, HTTP_PROXY: address('me:p%40ss@') } });
    expect(seen.length).toBe(rig.hub.requests.length);
    expect(seen[0]).toEqual({
      line: `GET ${endpoint}/api/models/${ID}/revision/main`,
      login: `Basic ${Buffer.from('me:p@ss').toString('base64')}`,
    });
  });

  it('sees nothing of a hub on this machine, whose token goes there in the clear', async () => {
    rig.hub.add(ID, await tinyModel(), 'private');
    await rig.pull(ID, { environment: { HF_TOKEN: GRANTED, HTTP_PROXY: address(), ALL_PROXY: address() } });
    expect(seen).toEqual([]);
  });

  it('makes a tunnel for TLS, which ends at the host; a refusal names the proxy and the variables', async () => {
    const get = (endpoint: string) => {
      const options = {
        endpoint,
        token: 'hf_secret',
        environment: { HTTPS_PROXY: address() },
        clock: new SystemClock(),
      };
      const http = new HubHttp({ ...options, userAgent: 'shoal/test' });
      return http.get(new URL(`${endpoint}/api`), {}, new AbortController().signal);
    };
    const refused = get(`https://${OUTSIDE}:1`);
    await expect(refused).rejects.toBeInstanceOf(Refused);
    await expect(refused).rejects.toThrow(
      /the proxy 127\.0\.0\.1:\d+ answered with HTTP status 407; check HTTPS_PROXY and NO_PROXY/,
    );
    // The hub of the test speaks no TLS: the handshake through the tunnel must fail, and no request may come in the clear.
    await expect(get(outside(rig.hub.endpoint).replace('http:', 'https:'))).rejects.toThrow(
      /cannot reach hub\.invalid/,
    );
    expect(seen.map(({ line }) => line)).toContain(`CONNECT ${outside(new URL(rig.hub.endpoint).host)}`);
    expect(rig.hub.requests).toEqual([]);
  });
});
