import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { EventSink } from '../../../coordinator/http/event-sink.js';
import { SimulatedClock } from '../../../src/clock.js';
import { Cancelled } from '../../../src/errors.js';

const EVENT = 'x'.repeat(256 * 1024);
const STALL_TIMEOUT_MS = 1_000;

/** A client whose socket is paused, and the server's response to it. */
async function connected(): Promise<{ response: ServerResponse; socket: Socket }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  onTestFinished(() => {
    socket.destroy();
    server.close();
  });
  socket.pause().write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
  const [, response] = (await once(server, 'request')) as [unknown, ServerResponse];
  return { response, socket };
}

/** Sends until an event waits for longer than the kernel needs to move bytes from one socket to the other. */
async function fill(sink: EventSink): Promise<{ waiting: Promise<void> }> {
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
  it('waits for a slow reader', async () => {
    const { response, socket } = await connected();
    const sink = new EventSink(response, {}, new SimulatedClock(), STALL_TIMEOUT_MS);
    const { waiting } = await fill(sink);
    socket.resume();
    await waiting;
  });

  it('rejects when the reader disconnects', async () => {
    const { response, socket } = await connected();
    const sink = new EventSink(response, {}, new SimulatedClock(), STALL_TIMEOUT_MS);
    const { waiting } = await fill(sink);
    socket.destroy();
    await expect(waiting).rejects.toThrow(Cancelled);
    await expect(sink.send('more')).rejects.toThrow(Cancelled);
  });

  it('disconnects a reader that stalls', async () => {
    const { response } = await connected();
    const clock = new SimulatedClock();
    const sink = new EventSink(response, {}, clock, STALL_TIMEOUT_MS);
    const { waiting } = await fill(sink);
    const cutOff = expect(waiting).rejects.toThrow(Cancelled);
    await clock.advance(STALL_TIMEOUT_MS);
    await cutOff;
    expect(clock.nextAtMs()).toBeNull();
  });
});
