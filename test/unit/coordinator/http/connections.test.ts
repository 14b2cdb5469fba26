import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Exchange } from '../../../../coordinator/http/route.js';
import { SharedText } from '../../../../coordinator/http/shared-text.js';
import { SimulatedClock, SystemClock } from '../../../../src/clock.js';
import { Connections } from '../../../../src/http/connections.js';
import { deferred } from '../../actors/world.js';
import { until } from '../../peer/support/until.js';
import { ASK, answer, bareServer, STALL_TIMEOUT_MS } from '../support/bare-server.js';
import { connectTo, send } from '../support/raw.js';
import { testServer } from '../support/test-server.js';

/** Resolves when a socket has closed, with or without an error. */
const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

describe('a pipelined request', () => {
  it('waits for the answer to the one before it, and ends unhandled with its connection', async () => {
    const asked: Exchange[] = [];
    let closed = 0;
    const { server, socket } = await bareServer(new SystemClock(), async (exchange) => {
      asked.push(exchange);
      exchange.onClose(() => closed++);
      if (asked.length === 1) return answer('first');
      await new Promise((resolve) => exchange.signal.addEventListener('abort', resolve));
      throw exchange.signal.reason;
    });
    socket.write(ASK + ASK + ASK);
    await until(() => asked.length === 2);
    expect(closed).toBe(1);
    socket.destroy();
    await until(() => closed === 2);
    await server.close();
    expect(asked.map(({ signal }) => signal.aborted)).toEqual([false, true]);
  });

  it('is answered, however long it waits for its turn', async () => {
    const clock = new SimulatedClock();
    const turn = deferred<void>();
    let asked = 0;
    const { socket } = await bareServer(clock, async () => {
      const nth = ++asked;
      if (nth === 1) await turn.promise;
      return answer(`answer ${nth}`);
    });
    let heard = '';
    socket.on('data', (chunk) => {
      heard += chunk;
    });
    socket.write(ASK + ASK);
    await until(() => asked === 1);
    await clock.advance(STALL_TIMEOUT_MS);
    turn.resolve();
    await until(() => heard.endsWith('answer 2'));
    expect(heard).toContain('answer 1');
  });

  it('is one of few: a client that sends thousands ahead is disconnected, and costs one answer', async () => {
    let asked = 0;
    const { socket } = await bareServer(new SystemClock(), async () => {
      asked++;
      await new Promise((resolve) => setImmediate(resolve));
      return answer('x');
    });
    socket.on('error', () => {});
    socket.write(ASK.repeat(2_000));
    await closed(socket);
    expect(asked).toBe(1);
  });

  it('is not even parsed once its client has sent too many', async () => {
    const connections = new Connections(100);
    let parsed = 0;
    const server = createServer((request, response) => {
      parsed++;
      connections.enqueue(request, response, () => request.url === '/after' && response.end('x'));
    });
    connections.watch(server);
    onTestFinished(() => void server.close());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    socket.write(ASK.repeat(1_000));
    await closed(socket);
    expect(parsed).toBeLessThan(40);
    // Node uses the parser again for others.
    expect(await (await fetch(`http://127.0.0.1:${port}/after`)).text()).toBe('x');
    server.closeAllConnections();
  });

  it('of 32 is answered, as clients that pipeline send them', async () => {
    const { socket } = await bareServer(new SystemClock(), () => answer('x'));
    let heard = '';
    socket.on('data', (chunk) => {
      heard += chunk;
    });
    socket.write(ASK.repeat(32));
    await until(() => heard.split('HTTP/1.1 200').length === 33);
  });
});

describe('floods of /metrics', () => {
  it('share one text, and health is answered beside them', async () => {
    // On a clock that stands still, nothing but the metrics looks at the fleet.
    const server = await testServer({ metricsAgeMs: 60_000 }, new SimulatedClock());
    let views = 0;
    const view = server.fleet.view.bind(server.fleet);
    server.fleet.view = () => {
      views++;
      return view();
    };
    await fetch(`${server.url}/metrics`);
    const viewsOfOne = views;
    const ask = 'GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n';
    const floods = Array.from({ length: 10 }, () => connectTo(server.url));
    for (const flood of floods) {
      flood.resume();
      flood.write(ask.repeat(5_000));
    }
    const over = Promise.all(floods.map(closed));
    expect((await send(server.url, 'GET /health/live', ['host: localhost'])).status).toBe(200);
    await over;
    const answered = server.logged.filter((line) => line.includes('"route":"/metrics"')).length;
    expect(answered).toBeLessThan(10 * 40);
    expect([viewsOfOne > 0, views]).toEqual([true, viewsOfOne]);
  });

  it('make the text at most once in its time, and again after a failure', async () => {
    const clock = new SimulatedClock();
    let made = 0;
    const shared = new SharedText(
      async () => {
        made++;
        if (made === 2) throw new Error('once');
        return `text ${made}`;
      },
      clock,
      1_000,
    );
    expect(await Promise.all([shared.get(), shared.get()])).toEqual(['text 1', 'text 1']);
    await clock.advance(999);
    expect(await shared.get()).toBe('text 1');
    await clock.advance(1);
    await expect(shared.get()).rejects.toThrow('once');
    expect(await shared.get()).toBe('text 3');
  });
});

describe('idle connections', () => {
  const CROWD = 16;

  it('of one address make room for others, the longest idle first', async () => {
    const { url } = await testServer({ maxConnections: CROWD });
    const patient = connectTo(url, '127.0.0.3');
    await once(patient, 'connect');
    const greedy: Socket[] = [];
    for (let i = 0; i < 4 * CROWD; i++) {
      const socket = connectTo(url, '127.0.0.2');
      await once(socket, 'connect');
      greedy.push(socket);
    }
    expect((await send(url, 'GET /version', ['host: localhost'])).status).toBe(200);
    await until(() => greedy.slice(0, 3 * CROWD).every((socket) => socket.closed));
    expect(greedy.at(-1)!.closed).toBe(false);
    patient.write(ASK.replace('/x', '/version'));
    expect(String((await once(patient, 'data'))[0])).toContain('200 OK');
  });

  it('are those that have not sent a whole request; one that is being answered stays', async () => {
    const { url, fleet } = await testServer({ maxConnections: CROWD });
    const turn = deferred<void>();
    fleet.health = async () => {
      await turn.promise;
      return [];
    };
    const busy = connectTo(url, '127.0.0.2');
    busy.write(ASK.replace('/x', '/health'));
    const uploading = connectTo(url, '127.0.0.2');
    const head = ['POST /tokenize HTTP/1.1', 'host: localhost', 'content-type: application/json', 'content-length: 99'];
    uploading.write(`${head.join('\r\n')}\r\n\r\n{`);
    await Promise.all([once(busy, 'connect'), once(uploading, 'connect')]);
    for (let i = 0; i < 2 * CROWD; i++) await once(connectTo(url, '127.0.0.2'), 'connect');
    await until(() => uploading.closed);
    turn.resolve();
    expect(String((await once(busy, 'data'))[0])).toContain('HTTP/1.1 200');
  });
});

describe('an answer to a client that has disconnected', () => {
  it('does not keep the server open', async () => {
    const clock = new SimulatedClock();
    const turn = deferred<void>();
    let gone = false;
    const { server, socket } = await bareServer(clock, async (exchange) => {
      exchange.onClose(() => {
        gone = true;
      });
      await turn.promise;
      return answer('unread');
    });
    socket.write(ASK);
    socket.once('connect', () => setImmediate(() => socket.destroy()));
    await until(() => gone);
    turn.resolve();
    await server.close();
    expect(clock.nextAtMs()).toBeNull();
  });
});
