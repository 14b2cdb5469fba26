import { abortReason, orAbort } from '../../async/abort.js';
import { Deferred } from '../../async/deferred.js';
import { Semaphore } from '../../async/semaphore.js';
import type { BlockDigest } from '../../core/block.js';
import { Corrupt, fromWire, Overloaded, type ShoalError, Unavailable } from '../../errors.js';
import { FRAME_HEADER_BYTES, PEER_BLOCKS_IN_SOCKET, PEER_REQUESTS_IN_FLIGHT } from '../../limits.js';
import { EXTENT_BYTES } from '../../objects/extent-pool.js';
import type { Connection, Payload } from '../wire/connection.js';
import type { Prelude } from '../wire/frame.js';
import { type ClientGreetingOptions, type Dialler, greetServer } from '../wire/greeting.js';
import {
  type ObjectClientMessage,
  type ObjectServerMessage,
  objectsFromClient,
  objectsFromServer,
} from './object-messages.js';

/** The dialling side of one connection for objects. */

/** Requests that wait until one of those in flight ends. */
const WAITING_REQUESTS = 4096;

export interface ObjectLinkOptions extends Omit<ClientGreetingOptions, 'onClosed'> {
  /** `wasOpen`: the handshake had ended. */
  readonly onClosed: (wasOpen: boolean) => void;
}

/** The dialling side of one request on a link. */
export interface ObjectExchange {
  /** Sends the first message. Called once, before all other methods. */
  start(line: ObjectLine): void;
  /** A piece of the answer begins. Gives the memory for it, or null to discard it. */
  target(bytes: number): Buffer | null;
  /** A frame of the answer has come. True if it is the last one. What it throws ends the link. */
  received(message: ObjectServerMessage, digest: BlockDigest | null): boolean;
  /** The link closed before the request ended, or the request could not be sent. */
  fail(reason: ShoalError): void;
}

/** The way of an exchange to its peer. */
export interface ObjectLine {
  send(message: ObjectClientMessage, payload?: Payload): void;
  /** Each payload given to `send` needs a permit. */
  readonly payloads: Semaphore;
}

/** Greets the server, then carries exchanges, of which many may be in flight. */
export class ObjectLink implements Dialler {
  private phase: 'greeting' | 'open' | 'closed' = 'greeting';
  private readonly whenOpened = new Deferred<void>();
  private readonly exchanges = new Map<number, ObjectExchange>();
  private readonly slots = new Semaphore(PEER_REQUESTS_IN_FLIGHT);
  private waiting = 0;
  private requests = 0;
  private readonly payloads = new Semaphore(PEER_BLOCKS_IN_SOCKET);
  private readonly connection: Connection;
  private message: ObjectServerMessage | null = null;
  private request = 0;

  constructor(private readonly options: ObjectLinkOptions) {
    this.connection = greetServer({ ...options, onClosed: undefined }, this);
    this.connection.readAhead(READ_AHEAD_BYTES);
  }

  get closedAlready(): boolean {
    return this.phase === 'closed';
  }

  /** Starts an exchange, which tells its own end. Rejects if it could not be started. */
  async start(exchange: ObjectExchange, signal: AbortSignal): Promise<void> {
    if (this.phase !== 'open') await orAbort(this.whenOpened.promise, signal);
    if (this.waiting >= WAITING_REQUESTS) throw new Overloaded(`${this.waiting} requests wait for a peer; retry later`);
    this.waiting++;
    const free = await this.slots.acquire();
    this.waiting--;
    if (!free || this.phase !== 'open')
      throw new Unavailable('cannot send a request to a peer: its connection was closed');
    if (signal.aborted) {
      this.slots.release();
      throw abortReason(signal);
    }
    const request = this.nextRequest();
    this.exchanges.set(request, exchange);
    exchange.start({ send: (message, payload) => this.say(request, message, payload), payloads: this.payloads });
  }

  close(reason: ShoalError): void {
    this.connection.close(reason);
  }

  opened(): void {
    this.phase = 'open';
    this.whenOpened.resolve();
  }

  admit({ type: code, request, headerBytes, payloadBytes }: Prelude): void {
    const type = objectsFromServer.typeOf(code);
    const most = type === 'piece' ? EXTENT_BYTES : 0;
    if (headerBytes > FRAME_HEADER_BYTES || payloadBytes > most || (type === 'piece' && payloadBytes === 0)) {
      throw new Corrupt(`a peer sent '${type}' with ${headerBytes} + ${payloadBytes} bytes, over the limit`);
    }
    if (type === 'error' && request === 0) return;
    if (!this.exchanges.has(request))
      throw new Corrupt(`a peer sent '${type}' for request ${request}, which is not in flight`);
  }

  begin(prelude: Prelude, header: Uint8Array): Uint8Array | null {
    this.request = prelude.request;
    this.message = objectsFromServer.read(objectsFromServer.typeOf(prelude.type), header);
    if (this.message.type !== 'piece') return null;
    return this.exchanges.get(this.request)!.target(prelude.payloadBytes);
  }

  wants(): boolean {
    return true;
  }

  end(digest: BlockDigest | null): void {
    const message = this.message!;
    this.message = null;
    const { request } = this;
    if (request === 0)
      throw message.type === 'error' ? fromWire(message) : new Corrupt('a peer sent an answer to nothing');
    if (this.exchanges.get(request)!.received(message, digest)) this.over(request);
  }

  awaits(): boolean {
    return this.exchanges.size > 0;
  }

  closed(reason: ShoalError): void {
    const wasOpen = this.phase === 'open';
    this.phase = 'closed';
    this.payloads.close();
    this.slots.close();
    this.whenOpened.reject(reason);
    const exchanges = [...this.exchanges.values()];
    this.exchanges.clear();
    for (const exchange of exchanges) exchange.fail(reason);
    this.options.onClosed(wasOpen);
  }

  private over(request: number): void {
    if (this.exchanges.delete(request)) this.slots.release();
  }

  /** Numbers wrap at 2^32; skips 0, and numbers that are still in flight. */
  private nextRequest(): number {
    do this.requests = (this.requests + 1) >>> 0;
    while (this.requests === 0 || this.exchanges.has(this.requests));
    return this.requests;
  }

  private say(request: number, message: ObjectClientMessage, payload?: Payload): void {
    this.connection.say(objectsFromClient, request, message, payload);
  }
}

/** Answers are mostly small. */
const READ_AHEAD_BYTES = 16 * 1024;
