import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server, Socket } from 'node:net';
import { stopParsing } from './parser.js';

/** The connections of an HTTP server: one request at a time on each, and no client that keeps all of them. */

/** Requests that may wait on one connection behind the one that is being answered. Pipelining clients send about ten. */
const PIPELINED_REQUESTS = 32;
/** The share of the connections from which on new ones take the place of idle ones. */
const CROWDED_SHARE = 0.75;

type Handle = (request: IncomingMessage, response: ServerResponse) => void;

interface Pending {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly handle: Handle;
}

interface Connection {
  readonly socket: Socket;
  readonly address: string;
  /** Whether a request is being answered, or the next one is about to be. */
  busy: boolean;
  /** Requests that came before the answer to an earlier one had been sent. They have done nothing yet. */
  waiting: Pending[];
}

/**
 * Requests of one connection are handled one after another. Waiting requests end with their connection, unhandled. A client that sends more than
 * `PIPELINED_REQUESTS` ahead is disconnected: Node parses all requests of a packet at once, so its memory could not be bounded otherwise. The rest of the
 * packet is not parsed.
 *
 * When most connections are taken, a new one closes the connection that has been idle longest, of the address that has most idle ones. A
 * connection is idle until a whole request has come, and again after its answer.
 */
export class Connections {
  /** By `keyOf`. */
  private readonly open = new Map<string | Socket, Connection>();
  /** By address; the longest idle first. */
  private readonly idle = new Map<string, Set<Connection>>();

  /** @param limit connections that the server accepts */
  constructor(private readonly limit: number) {}

  /** Watches the connections of a server. May be called for several servers, which share the limit. */
  watch(server: Server): void {
    server.on('connection', (socket) => this.add(socket));
  }

  /** Handles a request when those before it on its connection have been answered. */
  enqueue(request: IncomingMessage, response: ServerResponse, handle: Handle): void {
    const { socket } = request;
    const connection = this.open.get(keyOf(socket));
    const pending = { request, response, handle };
    if (connection === undefined) socket.destroy();
    else if (!connection.busy) this.start(connection, pending);
    else if (connection.waiting.length < PIPELINED_REQUESTS) connection.waiting.push(pending);
    else {
      stopParsing(socket);
      this.close(connection);
    }
  }

  /** The request has come in whole, and is being answered: its connection is not idle. */
  answering({ socket }: IncomingMessage): void {
    const connection = this.open.get(keyOf(socket));
    if (connection !== undefined) this.setIdle(connection, false);
  }

  private add(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const connection: Connection = { socket, address, busy: false, waiting: [] };
    const key = keyOf(socket);
    this.open.set(key, connection);
    this.setIdle(connection, true);
    socket.once('close', () => {
      connection.waiting = [];
      this.setIdle(connection, false);
      if (this.open.get(key) === connection) this.open.delete(key);
    });
    if (this.open.size > this.limit * CROWDED_SHARE) this.closeIdlest(connection);
  }

  private start(connection: Connection, { request, response, handle }: Pending): void {
    connection.busy = true;
    response.once('close', () => this.next(connection));
    handle(request, response);
  }

  /** A turn of the event loop later, so that one connection cannot keep the others waiting. */
  private next(connection: Connection): void {
    if (connection.socket.destroyed) return;
    this.setIdle(connection, true);
    if (connection.waiting.length === 0) connection.busy = false;
    else {
      setImmediate(() => {
        const pending = connection.waiting.shift();
        if (pending !== undefined) this.start(connection, pending);
      });
    }
  }

  private close(connection: Connection): void {
    connection.waiting = [];
    connection.socket.destroy();
  }

  private closeIdlest(newcomer: Connection): void {
    let most: Set<Connection> | null = null;
    for (const idle of this.idle.values()) if (most === null || idle.size > most.size) most = idle;
    const [longest] = most ?? [];
    if (longest !== undefined && longest !== newcomer) this.close(longest);
  }

  private setIdle(connection: Connection, idle: boolean): void {
    const { address, socket } = connection;
    const alike = this.idle.get(address) ?? new Set();
    // The connection moves to the end: it has just been active.
    alike.delete(connection);
    if (idle && !socket.destroyed) alike.add(connection);
    if (alike.size === 0) this.idle.delete(address);
    else this.idle.set(address, alike);
  }
}

/** Remote address and port, which a TLS socket and the socket below it have in common. A Unix socket has none, and no TLS. */
function keyOf(socket: Socket): string | Socket {
  const { remoteAddress, remotePort } = socket;
  return remoteAddress === undefined ? socket : `${remoteAddress} ${remotePort}`;
}
