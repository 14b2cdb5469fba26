import net from 'node:net';
import type { PeerAddress } from '../core/member.js';
import { Unavailable } from '../errors.js';
import { PEER_SEND_BUFFER_BYTES } from '../limits.js';

/** Takes the bytes of a socket: `target` gives the memory for what comes next, `advance` says how much of it is filled. */
export interface Inlet {
  target(): Uint8Array;
  advance(bytes: number): void;
}

/**
 * Sets the size of a socket's send buffer in the kernel (SO_SNDBUF), which Node has no way to do. Linux gives a Unix socket room for 208 KiB:
 * sender and receiver then wait for each other's wake-up more often than they copy. TCP finds its size by itself.
 */
export type SetSendBuffer = (fileDescriptor: number, bytes: number) => void;

/** Where a peer listens, as seen from here. */
export type Endpoint = { readonly path: string } | { readonly host: string; readonly port: number };

/** The way to a peer: its Unix socket if it is on this host, else TCP. Throws Unavailable if it has neither for us. */
export function endpointOf(address: PeerAddress, ownHostId: string): Endpoint {
  if (address.unixPath !== null && address.hostId === ownHostId) return { path: address.unixPath };
  if (address.tcpHost !== null && address.tcpPort !== null) return { host: address.tcpHost, port: address.tcpPort };
  throw new Unavailable(
    `a peer on host ${address.hostId} has no TCP address, and its Unix socket cannot be reached from host ${ownHostId}`,
  );
}

export function describe(endpoint: Endpoint): string {
  return 'path' in endpoint ? endpoint.path : `${endpoint.host}:${endpoint.port}`;
}

/** Begins to connect. What comes in is read straight into the memory that the inlet gives. */
export function dial(endpoint: Endpoint, inlet: Inlet, setSendBuffer?: SetSendBuffer): net.Socket {
  const socket = net.connect({ ...endpoint, onread: onread(inlet) });
  socket.once('connect', () => tune(socket, setSendBuffer));
  return socket;
}

/**
 * Takes over a connection from a server with `pauseOnConnect`, so that it too reads straight into the inlet's memory. Node's own servers
 * have no option for that, hence the move of the handle to a new socket; where there is none to move, bytes are copied.
 */
export function adopt(accepted: net.Socket, inlet: Inlet, setSendBuffer?: SetSendBuffer): net.Socket {
  const handle = handleOf(accepted);
  if (handle === null) {
    accepted.on('data', (chunk: Buffer) => pour(chunk, inlet));
    accepted.resume();
    tune(accepted, setSendBuffer);
    return accepted;
  }
  (accepted as unknown as WithHandle)._handle = null;
  accepted.destroy();
  const options = { handle, allowHalfOpen: false, onread: onread(inlet) };
  const socket = new net.Socket(options as net.SocketConstructorOpts);
  tune(socket, setSendBuffer);
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

function tune(socket: net.Socket, setSendBuffer: SetSendBuffer | undefined): void {
  if (socket.remoteFamily !== undefined) {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 10_000);
    return;
  }
  const fd = handleOf(socket)?.fd;
  if (typeof fd === 'number' && fd >= 0) setSendBuffer?.(fd, PEER_SEND_BUFFER_BYTES);
}
