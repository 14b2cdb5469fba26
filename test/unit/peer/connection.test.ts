import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import { Unavailable } from '../../../src/errors.js';
import { Connection } from '../../../src/peer/wire/connection.js';
import { PRELUDE_BYTES } from '../../../src/peer/wire/frame.js';
import type { PeerSocket } from '../../../src/peer/wire/socket.js';

const BLOCK = new Uint8Array(3 * 2 ** 20 + 5).map((_, i) => i * 7);
const MOST_BYTES = 256 * 1024;
const NO_HEADER = new Uint8Array(0);

/** A socket whose kernel takes bytes when the test says so. */
class SlowSocket implements PeerSocket {
  destroyed = false;
  readonly taken: Uint8Array[] = [];
  private readonly writes: { bytes: Uint8Array; taken: (() => void) | undefined }[] = [];
  private onClose = () => {};

  get writableLength(): number {
    return this.writes.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  }

  setTimeout(): void {}
  cork(): void {}
  uncork(): void {}

  on(event: string, listener: (error: Error) => void): void {
    if (event === 'close') this.onClose = listener as () => void;
  }

  write(bytes: Uint8Array, taken?: () => void): void {
    this.writes.push({ bytes, taken });
  }

  /** Takes all that was written so far, as Node does in one call of the kernel. Returns how much that was. */
  take(): number {
    const writes = this.writes.splice(0);
    for (const { bytes } of writes) this.taken.push(bytes);
    for (const { taken } of writes) taken?.();
    return writes.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  }

  destroy(): void {
    this.destroyed = true;
    for (const { taken } of this.writes.splice(0)) taken?.();
    this.onClose();
  }
}

let socket: SlowSocket;
let connection: Connection;
let released: number;
const block = () => ({ bytes: BLOCK, released: () => released++ });

beforeEach(() => {
  socket = new SlowSocket();
  released = 0;
  const owner = {
    admit: () => {},
    begin: () => null,
    wants: () => false,
    end: () => {},
    awaits: () => false,
    closed: () => {},
  };
  connection = new Connection({ open: () => socket, clock: new SimulatedClock(), progressTimeoutMs: 1_000 }, owner);
});

describe('a connection', () => {
  it('gives the kernel at most 256 KiB in a turn of the event loop, however many blocks wait and however fast it takes them', async () => {
    for (let i = 0; i < 3; i++) connection.send(32, 1, NO_HEADER, block());
    const total = 3 * (BLOCK.byteLength + PRELUDE_BYTES);
    expect(connection.queuedBytes).toBe(total);
    let taken = 0;
    while (taken < total) {
      let inTurn = 0;
      for (let bytes = socket.take(); bytes > 0; bytes = socket.take()) inTurn += bytes;
      expect(inTurn).toBeGreaterThan(0);
      expect(inTurn).toBeLessThanOrEqual(MOST_BYTES + 2 * PRELUDE_BYTES);
      taken += inTurn;
      expect(connection.queuedBytes).toBe(total - taken);
      await turn();
    }
    expect(released).toBe(3);
  });

  it('waits for a slow kernel, also over many turns', async () => {
    connection.send(32, 1, NO_HEADER, block());
    const queued = connection.queuedBytes;
    for (let i = 0; i < 3; i++) await turn();
    expect(connection.queuedBytes).toBe(queued);
    expect(socket.take()).toBe(MOST_BYTES + PRELUDE_BYTES);
  });

  it('keeps the order of frames behind a block that is written in parts', async () => {
    connection.send(32, 1, NO_HEADER, block());
    connection.gather(64, 2, NO_HEADER);
    connection.send(34, 3, NO_HEADER);
    while (socket.take() > 0) await turn();
    const bytes = Buffer.concat(socket.taken);
    const end = PRELUDE_BYTES + BLOCK.byteLength;
    expect(bytes.subarray(PRELUDE_BYTES, end).equals(BLOCK)).toBe(true);
    expect([bytes[5], bytes[end + 5], bytes[end + PRELUDE_BYTES + 5]]).toEqual([32, 64, 34]);
  });

  it('reads no block after it was closed, and releases each once', () => {
    for (let i = 0; i < 2; i++) connection.send(32, 1, NO_HEADER, block());
    socket.take();
    connection.close(new Unavailable('closed'));
    expect(released).toBe(2);
    expect(socket.take()).toBe(0);
  });
});
