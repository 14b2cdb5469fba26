import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { PeerProxy } from '../../../../bench/chaos/peer-proxy.js';
import { Wires } from '../../../../bench/chaos/wires.js';
import { packFrame } from '../../../../src/peer/wire/frame.js';
import { SeededRandom } from '../../../../src/random.js';
import { encode } from '../../../../src/wire/msgpack.js';

const HELLO = packFrame(1, 0, encode({ id: 'a' }), 0);
const BODY = Buffer.alloc(300_000, 7);

describe.skipIf(process.platform !== 'linux')('a proxy before a peer', () => {
  const wires = new Wires();
  let proxy: PeerProxy;
  let peer: Server;
  let dialled: Socket;

  afterEach(() => {
    dialled?.destroy();
    proxy.close();
    peer.close();
    wires.heal();
  });

  /** Dials the peer `b` as `a`. Resolves with the peer's end of the connection. */
  async function dialB(): Promise<Socket> {
    proxy = await PeerProxy.listen('127.0.0.2', 'b', wires);
    peer = createServer();
    peer.listen(proxy.port, '127.0.0.1');
    await once(peer, 'listening');
    const accepted = once(peer, 'connection') as Promise<[Socket]>;
    dialled = connect(proxy.port, '127.0.0.2');
    dialled.on('error', () => undefined);
    dialled.write(HELLO);
    const [socket] = await accepted;
    socket.on('error', () => undefined);
    return socket;
  }

  async function read(socket: Socket, count: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    while (bytes < count) {
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      chunks.push(chunk);
      bytes += chunk.byteLength;
    }
    return Buffer.concat(chunks);
  }

  it('forwards all bytes in both directions', async () => {
    const socket = await dialB();
    dialled.write(BODY);
    expect(await read(socket, HELLO.byteLength + BODY.byteLength)).toEqual(Buffer.concat([HELLO, BODY]));
    socket.write(BODY);
    expect(await read(dialled, BODY.byteLength)).toEqual(BODY);
    expect((peer.address() as AddressInfo).port).toBe(proxy.port);
  });

  it('holds the bytes of one direction until that is healed', async () => {
    const socket = await dialB();
    await read(socket, HELLO.byteLength);
    wires.set('a', 'b', { kind: 'silent' });
    dialled.write(BODY);
    socket.write('hello');
    expect((await read(dialled, 5)).toString()).toBe('hello');
    expect(socket.bytesRead).toBe(HELLO.byteLength);
    wires.heal();
    expect(await read(socket, BODY.byteLength)).toEqual(BODY);
  });

  it('resets connections', async () => {
    const socket = await dialB();
    const closed = Promise.all([once(dialled, 'close'), once(socket, 'close')]);
    dialled.resume();
    socket.resume();
    wires.set('b', 'a', { kind: 'reset' });
    await closed;
  });

  it('flips bits, and changes no length', async () => {
    const socket = await dialB();
    await read(socket, HELLO.byteLength);
    wires.set('a', 'b', { kind: 'corrupt', everyBytes: 10_000, random: new SeededRandom(1) });
    dialled.write(BODY);
    const got = await read(socket, BODY.byteLength);
    const flipped = got.reduce((sum, byte) => sum + (byte === 7 ? 0 : 1), 0);
    expect(flipped).toBeGreaterThan(5);
    expect(flipped).toBeLessThan(300);
  });
});
