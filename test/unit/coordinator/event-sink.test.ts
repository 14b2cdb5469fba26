import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { EventSink } from '../../../coordinator/http/event-sink.js';
import { SimulatedClock } from '../../../src/clock.js';
import { Cancelled } from '../../../src/errors.js';

const EVENT = 'x'.repeat(256 * 1024);
const STALL_TIMEOUT_MS = 1_000;

/** A client that reads nothing until it is told to, and the server's side of it. */
async function connected(): Promise<{ response: ServerResponse; socket: Socket }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  onTestFinished(() => {
    socket.destroy();
    server.close();
  });
  socket.pause().write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  const [, response] = (await once(server, 'request')) as [unknown, ServerResponse];
  return { response, socket };
}

/** Sends until an event has to wait, for longer than it takes the kernel to move bytes from one socket to the other. */
async function stuck(sink: EventSink): Promise<{ waiting: Promise<void> }> {
  for (;;) {
    let sent = false;
    const waiting = sink.send(EVENT).then(() => {
      sent = true;
    });
    waiting.catch(() => {});
    for (let turn = 0; turn < 200 && !sent; turn++) await new Promise((resolve) => setImmediate(resolve));
    if (!sent) return { waiting };
  }
}

describe('EventSink', () => {
  it('waits for a reader that is slow', async () => {
    const { response, socket } = await connected();
    const sink = new EventSink(response, {}, new SimulatedClock(), STALL_TIMEOUT_MS);
    const { waiting } = await stuck(sink);
    socket.resume();
    await waiting;
  });

  it('gives up a reader that goes away', async () => {
    const { response, socket } = await connected();
    const sink = new EventSink(response, {}, new SimulatedClock(), STALL_TIMEOUT_MS);
    const { waiting } = await stuck(sink);
    socket.destroy();
    await expect(waiting).rejects.toThrow(Cancelled);
    await expect(sink.send('more')).rejects.toThrow(Cancelled);
  });

  it('cuts off a reader that takes nothing for too long', async () => {
    const { response } = await connected();
    const clock = new SimulatedClock();
    const sink = new EventSink(response, {}, clock, STALL_TIMEOUT_MS);
    const { waiting } = await stuck(sink);
    const given = expect(waiting).rejects.toThrow(Cancelled);
    await clock.advance(STALL_TIMEOUT_MS);
    await given;
    expect(clock.nextAtMs()).toBeNull();
  });
});
