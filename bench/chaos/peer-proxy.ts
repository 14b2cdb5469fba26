import { once } from 'node:events';
import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net';
import { z } from 'zod';
import { PRELUDE_BYTES } from '../../src/peer/wire/frame.js';
import { decode } from '../../src/wire/msgpack.js';
import { Flow } from './flow.js';
import type { Wires } from './wires.js';

/** Limit on the first frame of a connection, which the peer protocol sets. */
const GREETING_BYTES = 1024;
const HEADER_BYTES_AT = 12;

const Greeting = z.looseObject({ id: z.string() });

/**
 * A proxy in front of a worker's peer port. It has the worker's port on another loopback address, which the worker advertises, so that a member that
 * dials the worker dials the proxy. The greeting of a connection names the member that dials; the wires decide the fate of its bytes.
 */
export class PeerProxy {
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly worker: string,
    readonly port: number,
    private readonly wires: Wires,
  ) {
    server.on('connection', (socket) => void this.accept(socket));
  }

  /** Listens on a port of `host` that is free on 127.0.0.1 too, for the worker. */
  static async listen(host: string, worker: string, wires: Wires): Promise<PeerProxy> {
    const probe = createServer();
    probe.listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    const server = createServer();
    server.listen(port, host);
    await once(server, 'listening');
    probe.close();
    return new PeerProxy(server, worker, port, wires);
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  private async accept(client: Socket): Promise<void> {
    this.keep(client);
    const greeting = await greetingOf(client);
    if (greeting === null) return void client.destroy();
    const upstream = this.keep(dial(this.port, '127.0.0.1'));
    const { from, bytes } = greeting;
    const out = new Flow(client, upstream, () => this.wires.of(from, this.worker));
    const back = new Flow(upstream, client, () => this.wires.of(this.worker, from));
    const forget = this.wires.onChange(() => {
      out.pump();
      back.pump();
    });
    client.once('close', forget);
    out.add(bytes);
  }

  private keep(socket: Socket): Socket {
    this.sockets.add(socket);
    // After any error of a socket, both ends close.
    socket.on('error', () => undefined);
    socket.once('close', () => this.sockets.delete(socket));
    return socket;
  }
}

/** Reads the first frame of a connection: the member that dials, and the bytes so far. Null if it is not a greeting; then it is not from a member. */
async function greetingOf(client: Socket): Promise<{ from: string; bytes: Buffer } | null> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const [chunk] = await Promise.race([once(client, 'data'), once(client, 'close')]).catch((): [] => []);
    if (!Buffer.isBuffer(chunk)) return null;
    bytes = Buffer.concat([bytes, chunk]);
    const from = senderOf(bytes);
    if (from === 'unknown') return null;
    if (from !== null) {
      client.pause();
      return { from: from.id, bytes };
    }
  }
}

/** The id in a greeting; null if more bytes must come. */
function senderOf(bytes: Buffer): { readonly id: string } | 'unknown' | null {
  if (bytes.byteLength < PRELUDE_BYTES) return null;
  const end = PRELUDE_BYTES + bytes.readUInt32LE(HEADER_BYTES_AT);
  if (end > GREETING_BYTES) return 'unknown';
  if (bytes.byteLength < end) return null;
  try {
    return { id: Greeting.parse(decode(bytes.subarray(PRELUDE_BYTES, end))).id };
  } catch {
    return 'unknown';
  }
}
