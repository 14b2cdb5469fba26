import type net from 'node:net';
import type { KnockAnswer } from '../../core/knock-answer.js';
import { Unavailable } from '../../errors.js';
import {
  adopt,
  dial,
  type Endpoint,
  type Inlet,
  knock,
  listener,
  type PeerSocket,
  type SocketOptions,
} from './socket.js';
import type { EnterStranger } from './strangers.js';

/** The port to the network between peers, and the sockets that implement it. */

export interface PeerNetwork {
  /** Begins to connect. The bytes that come go into the inlet. */
  dial(endpoint: Endpoint, inlet: Inlet, options: SocketOptions): PeerSocket;
  /** What a connection shows of the process that listens there. Never rejects. */
  knock(endpoint: Endpoint, timeoutMs: number): Promise<KnockAnswer>;
  /**
   * Begins to listen. Rejects with Unavailable if it cannot. The path of a Unix socket must be free.
   */
  listen(at: Endpoint, options: SocketOptions, door: Door): Promise<PeerListener>;
}

/** Who listens. */
interface Door {
  /** Called with a connection that has something to do before it can be accepted, such as the handshake of TLS. */
  readonly enter: EnterStranger;
  /** Called with each connection that a peer has dialled. */
  accept(dialled: DialledSocket): void;
}

/** A connection that a peer has dialled: either `open` or `refuse` is to be called. */
export interface DialledSocket {
  /** The host that it comes from; the same for all connections to a Unix socket. */
  readonly address: string;
  open(inlet: Inlet): PeerSocket;
  refuse(): void;
}

export interface PeerListener {
  /** Null for a Unix socket. */
  readonly port: number | null;
  /** Ends the listening. Resolves when all its connections are closed. */
  close(): Promise<void>;
}

/** Unix sockets and TCP. */
export const SOCKETS: PeerNetwork = {
  dial,
  knock,
  listen: async (at, options, door) => {
    const { setSendBuffer, tls } = options;
    return bind(at, 'path' in at ? { setSendBuffer } : { tls }, door);
  },
};

function dialled(socket: net.Socket, options: SocketOptions): DialledSocket {
  const address = socket.remoteAddress ?? 'unix';
  return { address, open: (inlet) => adopt(socket, inlet, options), refuse: () => socket.destroy() };
}

function bind(at: Endpoint, options: SocketOptions, { enter, accept }: Door): Promise<PeerListener> {
  const server = listener(options, enter, (socket) => accept(dialled(socket, options)));
  const where = 'path' in at ? at.path : `${at.host}:${at.port}`;
  return new Promise((resolve, reject) => {
    // Also catches errors of later connections, which concern no one else: rejecting again has no effect.
    server.on('error', (error) => reject(new Unavailable(`cannot listen for peers on ${where}: ${error.message}`)));
    server.listen(at, () => {
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address ? address.port : null,
        close: () => new Promise((closed) => server.close(() => closed())),
      });
    });
  });
}
