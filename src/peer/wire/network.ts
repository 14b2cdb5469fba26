import type net from 'node:net';
import { Unavailable } from '../../errors.js';
import { adopt, dial, type Endpoint, type Inlet, listener, type PeerSocket, type SocketOptions } from './socket.js';

/** The port to the network between peers, and the sockets that implement it. */

export interface PeerNetwork {
  /** Begins to connect. The bytes that come go into the inlet. */
  dial(endpoint: Endpoint, inlet: Inlet, options: SocketOptions): PeerSocket;
  /**
   * Begins to listen. Rejects with Unavailable if it cannot. The path of a Unix socket must be free.
   * @param connections limit on the connections that are open at a time
   * @param accept is called with each connection that a peer has dialled
   */
  listen(
    at: Endpoint,
    connections: number,
    options: SocketOptions,
    accept: (dialled: DialledSocket) => void,
  ): Promise<PeerListener>;
}

/** A connection that a peer has dialled: either `open` or `refuse` is to be called. */
export interface DialledSocket {
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
  listen: async (at, connections, options, accept) => {
    if (!('path' in at))
      return bind(at, connections, { tls: options.tls }, (socket) => accept(dialled(socket, options)));
    const { setSendBuffer } = options;
    return bind(at, connections, { setSendBuffer }, (socket) => accept(dialled(socket, options)));
  },
};

function dialled(socket: net.Socket, options: SocketOptions): DialledSocket {
  return { open: (inlet) => adopt(socket, inlet, options), refuse: () => socket.destroy() };
}

function bind(
  at: Endpoint,
  connections: number,
  options: SocketOptions,
  onSocket: (socket: net.Socket) => void,
): Promise<PeerListener> {
  const server = listener(options, onSocket);
  server.maxConnections = connections;
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
