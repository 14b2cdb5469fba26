import { abortReason, orAbort } from '../../async/abort.js';
import { Deferred } from '../../async/deferred.js';
import { Semaphore } from '../../async/semaphore.js';
import type { Timer } from '../../clock.js';
import type { BlockDigest } from '../../core/block.js';
import type { OpenSharedMemory, SharedMemoryReader } from '../../core/shared-memory-reader.js';
import { Corrupt, fromWire, Overloaded, type ShoalError, toWire, Unavailable } from '../../errors.js';
import { FRAME_HEADER_BYTES, PEER_BLOCKS_IN_SOCKET, PEER_REQUESTS_IN_FLIGHT } from '../../limits.js';
import type { Connection, Payload } from '../wire/connection.js';
import { checkLengths, type Prelude } from '../wire/frame.js';
import { type ClientGreetingOptions, type Dialler, greetServer } from '../wire/greeting.js';
import { type ClientMessage, fromClient, fromServer, type ServerMessage } from '../wire/messages.js';

/** The dialling side of one connection for blocks. */

/** Time without a read after which this process drops the mapped pages of a peer's memory. */
const PEER_MEMORY_IDLE_MS = 500;
/** Time limit for the rest of a block whose transfer was abandoned; after it the connection is closed, because the rest delays all later frames. @internal exported for tests. */
export const PEER_DRAIN_MS = 1_000;

export interface LinkOptions extends Omit<ClientGreetingOptions, 'onClosed'> {
  /** Bytes of every block, by the fleet's K/V layout. */
  readonly blockBytes: number;
  /** For Unix sockets only. */
  readonly openMemory?: OpenSharedMemory | undefined;
  /** The link is over; `wasOpen` says whether the handshake had succeeded. */
  readonly onClosed: (reason: ShoalError, wasOpen: boolean) => void;
}

/** The dialling side of one request on a link, from its first frame to the last frame of the answer. */
export interface LinkExchange<T> {
  readonly result: Promise<T>;
  /** Sends the first message. Called once, before all other methods. */
  start(line: Line): void;
  /** A frame of the answer begins. Gives the memory for its payload, or null to discard it. What it throws ends the link. */
  begin(message: ServerMessage): Uint8Array | null;
  /** Called after each part of a payload. False lets go of the payload's memory: nothing is written there any more. */
  wants(): boolean;
  /** The whole frame has come. `digest` covers its payload; null if there was none or it was discarded. An error of this method ends the link. */
  end(message: ServerMessage, digest: BlockDigest | null): void;
  /**
   * The caller does not need the result any more: cancels the request, and settles without waiting for the peer. Memory that is being read or
   * written is let go when that has ended. The exchange stays on the link until the peer has ended the request.
   */
  giveUp(reason: ShoalError): void;
  /** The link closed before the request ended. No memory of the exchange is read or written any more. */
  fail(reason: ShoalError): void;
}

/** The way of an exchange to its peer. */
export interface Line {
  send(message: ClientMessage, payload?: Payload): void;
  /** Each payload given to `send` needs a permit. */
  readonly payloads: Semaphore;
  /** The peer has broken a rule: closes the link. */
  close(reason: ShoalError): void;
}

export type LinkState = 'greeting' | 'open' | 'closed';

/** Greets the server, then carries exchanges: requests for blocks, of which many may be in flight. */
export class Link implements Dialler {
  private phase: LinkState = 'greeting';
  private readonly whenOpened = new Deferred<void>();
  private readonly exchanges = new Map<number, LinkExchange<unknown>>();
  private requests = 0;
  private readonly payloads = new Semaphore(PEER_BLOCKS_IN_SOCKET);
  private sharedMemory: SharedMemoryReader | null = null;
  private dropping: Timer | null = null;
  /** Runs while the rest of a payload is discarded. */
  private draining: Timer | null = null;
  private readonly connection: Connection;
  /** The frame that is coming in, and its request. */
  private message: ServerMessage | null = null;
  private request = 0;

  constructor(private readonly options: LinkOptions) {
    this.connection = greetServer({ ...options, onClosed: undefined }, this);
  }

  get state(): LinkState {
    return this.phase;
  }

  get requestsInFlight(): number {
    return this.exchanges.size;
  }

  /** Memory of the peer that this process can read; null where there is none, or the link is not open. */
  get memory(): SharedMemoryReader | null {
    return this.phase === 'open' && this.sharedMemory?.usable ? this.sharedMemory : null;
  }

  /** Resolves when the handshake has succeeded. Rejects with the reason why the link closed, or the reason of `signal`. */
  whenOpen(signal: AbortSignal): Promise<void> {
    return orAbort(this.whenOpened.promise, signal);
  }

  /** Runs an exchange. Rejects with Overloaded if too many are in flight, else with the error of the exchange or of the link. */
  async run<T>(exchange: LinkExchange<T>, signal: AbortSignal): Promise<T> {
    try {
      await this.whenOpen(signal);
      this.enter(exchange);
    } catch (error) {
      exchange.fail(fromWire(toWire(error)));
      return exchange.result;
    }
    const giveUp = () => exchange.giveUp(abortReason(signal));
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      return await exchange.result;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  close(reason: ShoalError): void {
    this.connection.close(reason);
  }

  opened(connection: Connection): void {
    this.phase = 'open';
    this.sharedMemory = this.options.openMemory?.(connection.fileDescriptor) ?? null;
    this.whenOpened.resolve();
  }

  admit(prelude: Prelude): void {
    const type = fromServer.typeOf(prelude.type);
    checkLengths(prelude, FRAME_HEADER_BYTES, type === 'block' ? this.options.blockBytes : 0);
    if (this.exchanges.has(prelude.request) || (prelude.request === 0 && type === 'error')) return;
    throw unexpected(type, prelude.request);
  }

  begin(prelude: Prelude, header: Uint8Array): Uint8Array | null {
    this.request = prelude.request;
    this.message = fromServer.read(fromServer.typeOf(prelude.type), header);
    return this.exchanges.get(this.request)?.begin(this.message) ?? null;
  }

  wants(): boolean {
    if (this.exchanges.get(this.request)!.wants()) return true;
    const { clock } = this.options;
    this.draining ??= clock.after(PEER_DRAIN_MS, () =>
      this.close(new Unavailable(`a peer took over ${PEER_DRAIN_MS} ms for the rest of a block that was given up`)),
    );
    return false;
  }

  end(digest: BlockDigest | null): void {
    this.draining?.cancel();
    this.draining = null;
    const message = this.message!;
    this.message = null;
    if (this.request === 0) throw message.type === 'error' ? fromWire(message) : unexpected(message.type, 0);
    const exchange = this.exchanges.get(this.request)!;
    exchange.end(message, digest);
    // After the call: an exchange that throws ends with the link.
    if (endsExchange(message)) this.exchanges.delete(this.request);
    this.dropPagesSoon();
  }

  awaits(): boolean {
    return this.exchanges.size > 0;
  }

  closed(reason: ShoalError): void {
    const wasOpen = this.phase === 'open';
    this.phase = 'closed';
    this.payloads.close();
    this.whenOpened.reject(reason);
    const exchanges = [...this.exchanges.values()];
    this.exchanges.clear();
    for (const exchange of exchanges) exchange.fail(reason);
    this.draining?.cancel();
    this.dropping?.cancel();
    this.sharedMemory?.close();
    this.options.onClosed(reason, wasOpen);
  }

  /** Later, because the blocks just fetched are in use now by a request that waits for them. */
  private dropPagesSoon(): void {
    if (this.sharedMemory === null || this.exchanges.size > 0) return;
    this.dropping?.cancel();
    this.dropping = this.options.clock.after(PEER_MEMORY_IDLE_MS, () => {
      if (this.exchanges.size === 0) this.sharedMemory?.dropPages();
    });
  }

  private enter(exchange: LinkExchange<unknown>): void {
    if (this.phase !== 'open') throw new Unavailable('cannot send a request to a peer: its connection was closed');
    if (this.exchanges.size >= PEER_REQUESTS_IN_FLIGHT) {
      throw new Overloaded(
        `cannot send a request to a peer: ${PEER_REQUESTS_IN_FLIGHT} are in flight; ask another peer`,
      );
    }
    const request = this.nextRequest();
    this.exchanges.set(request, exchange);
    exchange.start({
      send: (message, payload) => this.say(request, message, payload),
      payloads: this.payloads,
      close: (reason) => this.close(reason),
    });
  }

  /** Numbers wrap at 2^32; skips 0, and numbers that are still in flight. */
  private nextRequest(): number {
    do this.requests = (this.requests + 1) >>> 0;
    while (this.requests === 0 || this.exchanges.has(this.requests));
    return this.requests;
  }

  private say(request: number, message: ClientMessage, payload?: Payload): void {
    this.connection.say(fromClient, request, message, payload);
  }
}

function unexpected(type: string, request: number): Corrupt {
  return new Corrupt(`a peer sent '${type}' for request ${request}, which is not in flight`);
}

const LAST: ReadonlySet<ServerMessage['type']> = new Set(['done', 'missing', 'unshared', 'pong', 'compared', 'error']);

/** Whether the message ends its request. */
function endsExchange(message: ServerMessage): boolean {
  return LAST.has(message.type);
}

/** Asks the peer for a sign of life. */
export class PingExchange implements LinkExchange<void> {
  private readonly outcome = new Deferred<void>();

  get result(): Promise<void> {
    return this.outcome.promise;
  }

  start(line: Line): void {
    line.send({ type: 'ping' });
  }

  begin(): null {
    return null;
  }

  wants(): boolean {
    return false;
  }

  end(message: ServerMessage): void {
    if (message.type === 'pong') this.outcome.resolve();
    else if (message.type === 'error') this.outcome.reject(fromWire(message));
    else throw new Corrupt(`a peer answered 'ping' with '${message.type}'`);
  }

  giveUp(reason: ShoalError): void {
    this.outcome.reject(reason);
  }

  fail(reason: ShoalError): void {
    this.outcome.reject(reason);
  }
}
