import { once } from 'node:events';
import net from 'node:net';

/** A bare echo of a fixed number of bytes over a socket: the floor under a call. */

export const ECHO_BYTES = 100;

/** Listens, and sends all bytes back. Resolves with the port, or 0 for a path. */
export async function serveEcho(at: net.ListenOptions): Promise<number> {
  const server = net.createServer((socket) => {
    socket.setNoDelay(true);
    socket.on('data', (bytes) => socket.write(bytes));
  });
  server.listen(at);
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
}

/** The dialling side of an echo, with one round trip at a time. */
export class BareEcho {
  private readonly bytes = new Uint8Array(ECHO_BYTES).fill(7);
  private received = 0;
  private arrived: () => void = () => undefined;

  private constructor(private readonly socket: net.Socket) {
    socket.setNoDelay(true);
    socket.on('data', ({ byteLength }) => this.receive(byteLength));
  }

  static async dial(to: net.NetConnectOpts): Promise<BareEcho> {
    const socket = net.connect(to);
    await once(socket, 'connect');
    return new BareEcho(socket);
  }

  roundTrip(): Promise<void> {
    return new Promise((resolve) => {
      this.arrived = resolve;
      this.socket.write(this.bytes);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private receive(bytes: number): void {
    this.received += bytes;
    if (this.received < ECHO_BYTES) return;
    this.received = 0;
    this.arrived();
  }
}
