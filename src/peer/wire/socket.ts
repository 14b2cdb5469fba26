import { accessSync, constants } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import type { KnockAnswer } from '../../core/knock-answer.js';
import type { PeerAddress } from '../../core/member.js';
import { Unavailable } from '../../errors.js';
import { HANDSHAKE_TIMEOUT_MS } from '../../limits.js';
import type { EnterStranger } from './strangers.js';
import { countGreetings } from './tls-greetings.js';

/** Sockets between peers: dialling and accepting, so that bytes are read straight into their final memory. */

/** Size of the kernel's send buffer of a Unix socket between peers, where it can be set. */
const PEER_SEND_BUFFER_BYTES = 2 ** 20;
/** Bytes read from one socket before the others have their turn. */
const TURN_BYTES = 256 * 1024;

/** The part of a stream socket that a connection uses. */
export interface PeerSocket {
  readonly destroyed: boolean;
  /** Bytes that wait in this process for the kernel to take them. */
  readonly writableLength: number;
  /** Emits `timeout` each time that nothing was read or written for this long. */
  setTimeout(timeoutMs: number): unknown;
  on(event: 'timeout' | 'close', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  /** Calls `taken` when the bytes are not read any more, whether they were sent or not. */
  write(bytes: Uint8Array, taken?: () => void): unknown;
  cork(): void;
  uncork(): void;
  /** Closes at once; `close` follows. */
  destroy(): unknown;
}

/** Receives the bytes of a socket: `target` gives the memory for the next bytes, `advance` says how many of them have come. */
export interface Inlet {
  target(): Uint8Array;
  advance(bytes: number): void;
  /** Whether its owner has paused the socket, and resumes it. Absent: never. */
  readonly paused?: boolean;
}

/**
 * Sets the size of a socket's send buffer in the kernel (SO_SNDBUF), for which Node has no call. A Unix socket on Linux has 208 KiB by default:
 * sender and receiver then spend more time waking each other than copying. TCP tunes its buffer itself.
 */
type SetSendBuffer = (fileDescriptor: number, bytes: number) => void;

/** The certificate of a member for TCP connections, and the authority by which it checks its peers; all PEM. */
export interface PeerTls {
  readonly key: string;
  readonly cert: string;
  /** Signs the certificates of all members of the fleet, and no others. */
  readonly ca: string;
}

export interface SocketOptions {
  readonly setSendBuffer?: SetSendBuffer | undefined;
  /** For TCP only. */
  readonly tls?: PeerTls | undefined;
}

/** Where a peer listens, as seen from this host. */
export type Endpoint = { readonly path: string } | { readonly host: string; readonly port: number };

/**
 * Where to dial a peer, the best way first: its Unix socket if the peer is on this host and this user may open the socket, and TCP.
 * @throws Unavailable if neither is possible
 */
export function endpointsOf(address: PeerAddress, ownHostId: string): [Endpoint, ...Endpoint[]] {
  const { unixPath, tcpHost, tcpPort } = address;
  const path = address.hostId === ownHostId ? unixPath : null;
  const tcp = tcpHost !== null && tcpPort !== null ? { host: tcpHost, port: tcpPort } : null;
  if (tcp === null && path !== null) return [{ path }];
  if (tcp !== null) return path !== null && mayOpen(path) ? [{ path }, tcp] : [tcp];
  throw new Unavailable(
    `cannot dial a peer on host ${address.hostId} from host ${ownHostId}: it has no TCP address; give it one`,
  );
}

function mayOpen(path: string): boolean {
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

/** Connects to an endpoint, and closes the connection at once. Never rejects. */
export function knock(endpoint: Endpoint, timeoutMs: number): Promise<KnockAnswer> {
  return new Promise((resolve) => {
    const socket = net.connect(endpoint);
    const end = (answer: KnockAnswer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(timeoutMs, () => end('unknown'));
    socket.once('connect', () => end('there'));
    // A path that is gone may have been removed by others.
    socket.on('error', ({ code }: NodeJS.ErrnoException) => end(code === 'ECONNREFUSED' ? 'ended' : 'unknown'));
  });
}

/** Begins to connect. Incoming bytes are read straight into the memory that the inlet gives; with TLS they are copied there. */
export function dial(endpoint: Endpoint, inlet: Inlet, options: SocketOptions): net.Socket {
  if ('path' in endpoint || !options.tls) {
    const socket: net.Socket = net.connect({ ...endpoint, onread: onread(inlet, () => socket) });
    socket.once('connect', () => tune(socket, options));
    return socket;
  }
  // The certificate proves that the peer belongs to the fleet; the handshake of the protocol proves which member it is.
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
export function listener(
  options: SocketOptions,
  enter: EnterStranger,
  onSocket: (socket: net.Socket) => void,
): net.Server {
  // Paused, so that no bytes are read before `adopt` gives them memory.
  if (!options.tls) return net.createServer({ pauseOnConnect: true }, onSocket);
  const { tls: own } = options;
  const demands = { requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' } as const;
  const server = tls.createServer({ ...own, ...demands, handshakeTimeout: HANDSHAKE_TIMEOUT_MS }, onSocket);
  countGreetings(server, enter);
  return server;
}

/**
 * Takes over a connection from a listener, so that it too reads straight into the inlet's memory. Node's servers have no option for that, so
 * `adopt` moves the handle to a new socket. Without a handle to move, as with TLS, bytes are copied.
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
  const moved = { handle, allowHalfOpen: false, onread: onread(inlet, () => socket) };
  const socket: net.Socket = new net.Socket(moved as net.SocketConstructorOpts);
  tune(socket, options);
  socket.read(0);
  return socket;
}

/** The native handle of a socket. Node does not document it, so all code here also works without it. */
interface WithHandle {
  _handle: { readonly fd?: unknown } | null;
}

function handleOf(socket: PeerSocket): { readonly fd?: unknown } | null {
  const handle = (socket as unknown as WithHandle)._handle;
  return typeof handle === 'object' ? handle : null;
}

/** The file descriptor of an open socket; -1 where it has none. */
export function fileDescriptorOf(socket: PeerSocket): number {
  const fd = handleOf(socket)?.fd;
  return typeof fd === 'number' ? fd : -1;
}

/** Reads into the inlet, at most `TURN_BYTES` in one turn of the event loop: Node itself would go on until the kernel has no more. */
function onread(inlet: Inlet, socketOf: () => net.Socket): net.OnReadOpts {
  let turnBytes = 0;
  const goOn = () => {
    turnBytes = 0;
    if (!inlet.paused) socketOf().resume();
  };
  return {
    buffer: () => inlet.target(),
    callback: (bytes) => {
      inlet.advance(bytes);
      turnBytes += bytes;
      if (turnBytes < TURN_BYTES) return true;
      setImmediate(goOn);
      return false;
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
