import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import { ASK, answer, bareServer, STALL_TIMEOUT_MS } from './support/bare-server.js';

/** More than the kernel holds between two sockets. */
const TEXT = 'x'.repeat(64 * 1024 * 1024);

/** Requests a long answer without reading it. */
async function asked(clock: SimulatedClock): Promise<Socket> {
  const { socket } = await bareServer(clock, () => answer(TEXT));
  socket.write(ASK.replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n'));
  await once(socket, 'readable');
  return socket;
}

/** Waits until the socket is readable, ended or closed. */
async function change(socket: Socket): Promise<void> {
  const over = new AbortController();
  const events = ['readable', 'end', 'close'].map((name) => once(socket, name, { signal: over.signal }));
  await Promise.race(events);
  over.abort();
  await Promise.allSettled(events);
}

/** Reads at least `bytes`, or to the end. Returns the number of bytes read. */
async function read(socket: Socket, bytes: number): Promise<number> {
  let taken = 0;
  while (taken < bytes && !socket.readableEnded && !socket.destroyed) {
    const chunk = socket.read() as Buffer | null;
    if (chunk) taken += chunk.byteLength;
    else await change(socket);
  }
  return taken;
}

describe('a client with a long answer', () => {
  it('gets all of it if it reads slowly', async () => {
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

  it('is disconnected if it reads nothing', async () => {
    const clock = new SimulatedClock();
    const socket = await asked(clock);
    socket.on('error', () => {});
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(STALL_TIMEOUT_MS);
    expect(await read(socket, Number.POSITIVE_INFINITY)).toBeLessThan(TEXT.length);
    expect(clock.nextAtMs()).toBeNull();
  });
});
