import { connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Access } from '../../../coordinator/http/access.js';
import type { Answer, Exchange } from '../../../coordinator/http/route.js';
import { type HttpServer, listen } from '../../../coordinator/http/server.js';
import { type Clock, SimulatedClock, SystemClock } from '../../../src/clock.js';
import { SILENT_LOG } from '../../../src/log.js';
import { deferred } from '../actors/world.js';
import { until } from '../peer/support/until.js';

const STALL_TIMEOUT_MS = 1_000;
const ASK = 'GET /x HTTP/1.1\r\nhost: x\r\n\r\n';
const answer = (text: string): Answer => ({ kind: 'text', contentType: 'text/plain', text });

/** A server that answers as it is told, and a client that says what it likes. */
async function talking(
  clock: Clock,
  handle: (exchange: Exchange) => Promise<Answer>,
): Promise<{ server: HttpServer; socket: Socket }> {
  const server = await listen(
    [{ method: 'GET', path: '/x', access: 'open', handle }],
    { host: '127.0.0.1', port: 0, stallTimeoutMs: STALL_TIMEOUT_MS, closeGraceMs: 0 },
    { access: new Access([]), clock, log: SILENT_LOG, onEnd: () => {} },
  );
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  onTestFinished(async () => {
    socket.destroy();
    await server.close();
  });
  return { server, socket };
}

describe('a request that was sent behind another', () => {
  it('ends with their connection, like the one whose turn it is', async () => {
    const asked: Exchange[] = [];
    let closed = 0;
    const { server, socket } = await talking(new SystemClock(), async (exchange) => {
      asked.push(exchange);
      exchange.onClose(() => closed++);
      await new Promise((resolve) => exchange.signal.addEventListener('abort', resolve));
      throw exchange.signal.reason;
    });
    socket.write(ASK + ASK + ASK);
    await until(() => asked.length === 3);
    socket.destroy();
    await until(() => closed === 3);
    expect(asked.map(({ signal }) => signal.aborted)).toEqual([true, true, true]);
    await server.close();
  });

  it('is answered however long it waits for its turn', async () => {
    const clock = new SimulatedClock();
    const turn = deferred<void>();
    let asked = 0;
    const { socket } = await talking(clock, async () => {
      const nth = ++asked;
      if (nth === 1) await turn.promise;
      return answer(`answer ${nth}`);
    });
    let heard = '';
    socket.on('data', (chunk) => {
      heard += chunk;
    });
    socket.write(ASK + ASK);
    await until(() => asked === 2);
    await clock.advance(STALL_TIMEOUT_MS);
    turn.resolve();
    await until(() => heard.endsWith('answer 2'));
    expect(heard).toContain('answer 1');
  });
});

describe('an answer for a client that is gone', () => {
  it('is waited for no more', async () => {
    const clock = new SimulatedClock();
    const turn = deferred<void>();
    let gone = false;
    const { server, socket } = await talking(clock, async (exchange) => {
      exchange.onClose(() => {
        gone = true;
      });
      await turn.promise;
      return answer('nobody hears it');
    });
    socket.write(ASK);
    socket.once('connect', () => setImmediate(() => socket.destroy()));
    await until(() => gone);
    turn.resolve();
    await server.close();
    expect(clock.nextAtMs()).toBeNull();
  });
});
