import { Socket } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { settled } from '../../../src/clock.js';
import { InvalidRequest } from '../../../src/errors.js';
import { MeteredRequest } from '../../../src/http/metered-request.js';

function made() {
  const socket = new Socket();
  onTestFinished(() => void socket.destroy());
  const errors: unknown[] = [];
  const request = new MeteredRequest(socket);
  request.on('error', (error) => errors.push(error));
  return { socket, request, errors };
}

/** Pushes chunks in one turn of the event loop. Returns how many were accepted with more to come. */
function pushAll(request: MeteredRequest, chunks: number, bytes: number): number {
  let accepted = 0;
  for (let i = 0; i < chunks; i++) if (request.push(Buffer.alloc(bytes))) accepted++;
  return accepted;
}

describe('a request with a body', () => {
  it('in many small chunks is refused, and no more of it is taken', async () => {
    const { request, errors } = made();
    request.resume();
    pushAll(request, 1_024, 255);
    expect([request.refused, errors.length]).toEqual([false, 0]);
    expect(pushAll(request, 10, 255)).toBe(0);
    expect([request.refused, errors.length, errors[0]]).toEqual([true, 1, expect.any(InvalidRequest)]);
    await settled();
  });

  it('in many chunks of some size is taken', async () => {
    const { request, errors } = made();
    request.resume();
    for (let turn = 0; turn < 4; turn++) {
      pushAll(request, 1_000, 256);
      await settled();
    }
    expect([request.refused, errors]).toEqual([false, []]);
  });

  it('has only so many chunks in a turn with all others, and is read on in the next turn', async () => {
    const { request, socket } = made();
    const resumed = vi.spyOn(socket, 'resume');
    request.on('data', () => {});
    await settled();
    pushAll(made().request.resume(), 1_000, 1_000);
    expect(pushAll(request, 2_000, 1_000)).toBe(1_047);
    resumed.mockClear();
    request._read(0);
    expect(resumed).not.toHaveBeenCalled();
    await settled();
    await settled();
    expect(resumed).toHaveBeenCalled();
    expect(request.push(Buffer.alloc(1_000))).toBe(true);
  });

  it('in small chunks is refused sooner while others use up the turn, unless the chunks are few', async () => {
    const { request: busy } = made();
    busy.resume();
    pushAll(busy, 2_048, 1_000);
    const { request: few } = made();
    pushAll(few, 64, 1);
    expect(few.refused).toBe(false);
    pushAll(few, 1, 1);
    expect([few.refused, busy.refused]).toEqual([true, false]);
    await settled();
  });
});
