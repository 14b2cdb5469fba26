import { describe, expect, it } from 'vitest';
import type { Exchange } from '../../../coordinator/http/route.js';
import { SimulatedClock, SystemClock } from '../../../src/clock.js';
import { deferred } from '../actors/world.js';
import { until } from '../peer/support/until.js';
import { ASK, answer, bareServer, STALL_TIMEOUT_MS } from './support/bare-server.js';

describe('a pipelined request', () => {
  it('ends when its connection closes, even while it waits for its turn', async () => {
    const asked: Exchange[] = [];
    let closed = 0;
    const { server, socket } = await bareServer(new SystemClock(), async (exchange) => {
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
    await until(() => asked === 2);
    await clock.advance(STALL_TIMEOUT_MS);
    turn.resolve();
    await until(() => heard.endsWith('answer 2'));
    expect(heard).toContain('answer 1');
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
