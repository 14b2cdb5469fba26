import { accessSync, constants } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import type { PeerAddress } from '../../core/member.js';
import { Unavailable } from '../../errors.js';
import { HANDSHAKE_TIMEOUT_MS, PEER_SEND_BUFFER_BYTES } from '../../limits.js';

/** Takes the bytes of a socket: `target` gives the memory for what comes next, `advance` says how much of it is filled. */
export interface Inlet {
  target(): Uint8Array;
  advance(bytes: number): void;
}

/**
 * Sets the size of a socket's send buffer in the kernel (SO_SNDBUF), which Node has no way to do. Linux gives a Unix socket room for 208 KiB:
 * sender and receiver then wait for each other's wake-up more often than they copy. TCP finds its size by itself.
 */
type SetSendBuffer = (fileDescriptor: number, bytes: number) => void;

/** What a worker shows its peers over TCP, and by what it knows them; all PEM. @internal exported for tests. */
export interface PeerTls {
  readonly key: string;
  readonly cert: string;
  /** Signs the certificates of all workers of the fleet, and of nobody else. */
  readonly ca: string;
}

export interface SocketOptions {
  readonly setSendBuffer?: SetSendBuffer | undefined;
  /** For TCP; Unix sockets go without. */
  readonly tls?: PeerTls | undefined;
}

/** Where a peer listens, as seen from here. */
export type Endpoint = { readonly path: string } | { readonly host: string; readonly port: number };

/**
 * The way to a peer: its Unix socket if it is on this host and lets us in, which another user's does not; else TCP. Throws Unavailable if it has
 * neither for us.
 */
export function endpointOf(address: PeerAddress, ownHostId: string): Endpoint {
  const { unixPath, tcpHost, tcpPort } = address;
  const path = address.hostId === ownHostId ? unixPath : null;
  const tcp = tcpHost !== null && tcpPort !== null ? { host: tcpHost, port: tcpPort } : null;
  if (path !== null && (tcp === null || isOpenToUs(path))) return { path };
  if (tcp !== null) return tcp;
  throw new Unavailable(
    `a peer on host ${address.hostId} has no TCP address, and its Unix socket cannot be reached from host ${ownHostId}`,
  );
}

function isOpenToUs(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

export function describe(endpoint: Endpoint): string {
  return 'path' in endpoint ? endpoint.path : `${endpoint.host}:${endpoint.port}`;
}

/** Begins to connect. What comes in is read straight into the memory that the inlet gives, but with TLS, where it is copied. */
export function dial(endpoint: Endpoint, inlet: Inlet, options: SocketOptions): net.Socket {
  if ('path' in endpoint || !options.tls) {
    const socket = net.connect({ ...endpoint, onread: onread(inlet) });
    socket.once('connect', () => tune(socket, options));
    return socket;
  }
  // The certificate says that the peer is of the fleet; which one it is, the handshake of the peers finds out.
  const socket = tls.connect({
    ...endpoint,
    ...options.tls,
    minVersion: 'TLSv1.3',
    checkServerIdentity: () => undefined,
  });
  socket.once('secureConnect', () => tune(socket, options));
  socket.on('data', (chunk) => pour(chunk, inlet));
  return socket;
}

/** A server whose connections are ready for `adopt`. */
export function listener(options: SocketOptions, onSocket: (socket: net.Socket) => void): net.Server {
  // Paused, so that nothing is read before the bytes have somewhere to go.
  if (!options.tls) return net.createServer({ pauseOnConnect: true }, onSocket);
  const { tls: own } = options;
  const demands = { requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' } as const;
  const server = tls.createServer({ ...own, ...demands, handshakeTimeout: HANDSHAKE_TIMEOUT_MS }, onSocket);
  server.on('tlsClientError', (_, socket) => socket.destroy());
  return server;
}

/**
 * Takes over a connection from a listener, so that it too reads straight into the inlet's memory. Node's own servers have no option for
 * that, hence the move of the handle to a new socket; where there is none to move, as with TLS, bytes are copied.
 */
export function adopt(accepted: net.Socket, inlet: Inlet, options: SocketOptions): net.Socket {
  const handle = handleOf(accepted);
  if (handle === null || accepted instanceof tls.TLSSocket) {
    accepted.on('data', (chunk: Buffer) => pour(chunk, inlet));
    accepted.resume();
    tune(accepted, options);
    return accepted;
  }
  (accepted as unknown as WithHandle)._handle = null;
  accepted.destroy();
  const moved = { handle, allowHalfOpen: false, onread: onread(inlet) };
  const socket = new net.Socket(moved as net.SocketConstructorOpts);
  tune(socket, options);
  socket.read(0);
  return socket;
}

/** The native side of a socket: no part of Node's documented surface, so nothing may depend on its being there. */
interface WithHandle {
  _handle: { readonly fd?: unknown } | null;
}

function handleOf(socket: net.Socket): { readonly fd?: unknown } | null {
  const handle = (socket as unknown as WithHandle)._handle;
  return typeof handle === 'object' ? handle : null;
}

/** Of an open socket; -1 where it has none. */
export function fileDescriptorOf(socket: net.Socket): number {
  const fd = handleOf(socket)?.fd;
  return typeof fd === 'number' ? fd : -1;
}

function onread(inlet: Inlet): net.OnReadOpts {
  return {
    buffer: () => inlet.target(),
    callback: (bytes) => {
      inlet.advance(bytes);
      return true;
    },
  };
}

function pour(chunk: Uint8Array, inlet: Inlet): void {
  for (let at = 0; at < chunk.byteLength; ) {
    const target = inlet.target();
    const part = chunk.subarray(at, at + target.byteLength);
    target.set(part);
    at += part.byteLength;
    inlet.advance(part.byteLength);
  }
}

function tune(socket: net.Socket, { setSendBuffer }: SocketOptions): void {
  if (socket.remoteFamily !== undefined) {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 10_000);
    return;
  }
  const fd = fileDescriptorOf(socket);
  if (fd >= 0) setSendBuffer?.(fd, PEER_SEND_BUFFER_BYTES);
}
