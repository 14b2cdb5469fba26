import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Access } from '../../../coordinator/http/access.js';
import { listen } from '../../../coordinator/http/server.js';
import { SimulatedClock } from '../../../src/clock.js';
import { SILENT_LOG } from '../../../src/log.js';

const STALL_TIMEOUT_MS = 1_000;
/** More than the kernel holds between two sockets. */
const TEXT = 'x'.repeat(64 * 1024 * 1024);

/** Asks a server for a long answer, and reads nothing of it yet. */
async function asked(clock: SimulatedClock): Promise<Socket> {
  const server = await listen(
    [
      {
        method: 'GET',
        path: '/long',
        access: 'open',
        handle: () => ({ kind: 'text', contentType: 'text/plain', text: TEXT }),
      },
    ],
    { host: '127.0.0.1', port: 0, stallTimeoutMs: STALL_TIMEOUT_MS, closeGraceMs: 0 },
    { access: new Access([]), clock, log: SILENT_LOG, onEnd: () => {} },
  );
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  onTestFinished(async () => {
    socket.destroy();
    await server.close();
  });
  socket.write('GET /long HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  await once(socket, 'readable');
  return socket;
}

/** Until there is something to read, or nothing more to come. */
async function change(socket: Socket): Promise<void> {
  const over = new AbortController();
  const events = ['readable', 'end', 'close'].map((name) => once(socket, name, { signal: over.signal }));
  await Promise.race(events);
  over.abort();
  await Promise.allSettled(events);
}

/** Reads so many bytes, or to the end. Gives how many there were. */
async function read(socket: Socket, bytes: number): Promise<number> {
  let taken = 0;
  while (taken < bytes && !socket.readableEnded && !socket.destroyed) {
    const chunk = socket.read() as Buffer | null;
    if (chunk) taken += chunk.byteLength;
    else await change(socket);
  }
  return taken;
}

describe('a client that takes its answer', () => {
  it('slowly gets all of it', async () => {
    const clock = new SimulatedClock();
    const socket = await asked(clock);
    let taken = 0;
    for (let turn = 0; turn < 6; turn++) {
      taken += await read(socket, TEXT.length / 8);
      await clock.advance(STALL_TIMEOUT_MS - 1);
    }
    taken += await read(socket, Number.POSITIVE_INFINITY);
    expect(taken).toBeGreaterThan(TEXT.length);
  });

  it('not at all is cut off', async () => {
    const clock = new SimulatedClock();
    const socket = await asked(clock);
    socket.on('error', () => {});
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(STALL_TIMEOUT_MS);
    expect(await read(socket, Number.POSITIVE_INFINITY)).toBeLessThan(TEXT.length);
    expect(clock.nextAtMs()).toBeNull();
  });
});
