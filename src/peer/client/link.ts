import type { Socket } from 'node:net';
import { abortReason, orAbort } from '../../async/abort.js';
import { Deferred } from '../../async/deferred.js';
import { Semaphore } from '../../async/semaphore.js';
import type { Clock, Timer } from '../../clock.js';
import type { BlockDigest } from '../../core/block.js';
import { Corrupt, fromWire, Overloaded, type ShoalError, toWire, Unavailable } from '../../errors.js';
import {
  FRAME_HEADER_BYTES,
  HANDSHAKE_FRAME_BYTES,
  PEER_BLOCKS_IN_SOCKET,
  PEER_DRAIN_MS,
  PEER_MEMORY_REST_MS,
  PEER_REQUESTS_IN_FLIGHT,
} from '../../limits.js';
import { Connection, type ConnectionOwner, type Payload } from '../wire/connection.js';
import { checkLengths, PRELUDE_BYTES, type Prelude } from '../wire/frame.js';
import type { ClientHandshake } from '../wire/handshake.js';
import { type ClientMessage, fromClient, fromServer, type ServerMessage } from '../wire/messages.js';
import type { Inlet } from '../wire/socket.js';
import { type Exchange, endsExchange } from './exchange.js';
import type { OpenPeerMemory, PeerMemory } from './peer-memory.js';

export interface LinkOptions {
  readonly open: (inlet: Inlet) => Socket;
  readonly handshake: ClientHandshake;
  /** Bytes of every block, by the fleet's K/V layout. */
  readonly blockBytes: number;
  readonly clock: Clock;
  readonly handshakeTimeoutMs: number;
  readonly progressTimeoutMs: number;
  /** Not for TCP. */
  readonly openMemory?: OpenPeerMemory | undefined;
  /** The link is over; `wasOpen` says whether it had come about. */
  readonly onClosed: (reason: ShoalError, wasOpen: boolean) => void;
}

export type LinkState = 'greeting' | 'proving' | 'open' | 'closed';

/** The dialling side of one connection: proves itself, then carries exchanges. */
export class Link implements ConnectionOwner {
  private phase: LinkState = 'greeting';
  private readonly opened = new Deferred<void>();
  private readonly exchanges = new Map<number, Exchange<unknown>>();
  private requests = 0;
  private readonly payloads = new Semaphore(PEER_BLOCKS_IN_SOCKET);
  private peerMemory: PeerMemory | null = null;
  private resting: Timer | null = null;
  /** Runs while the rest of a payload is read past. */
  private draining: Timer | null = null;
  private readonly connection: Connection;
  private readonly deadline: Timer;
  /** The frame that is coming in, and what it is for. */
  private message: ServerMessage | null = null;
  private request = 0;

  constructor(private readonly options: LinkOptions) {
    const { clock, handshakeTimeoutMs, handshake } = options;
    this.connection = new Connection(options.open, this, options.progressTimeoutMs);
    this.deadline = clock.after(handshakeTimeoutMs, () =>
      this.close(new Unavailable(`a peer did not greet within ${handshakeTimeoutMs} ms`)),
    );
    this.say(0, handshake.hello);
  }

  get state(): LinkState {
    return this.phase;
  }

  get requestsInFlight(): number {
    return this.exchanges.size;
  }

  /** Memory of the peer that can be read from here; null where there is none, or the link is not open. */
  get memory(): PeerMemory | null {
    return this.phase === 'open' && this.peerMemory?.usable ? this.peerMemory : null;
  }

  /** Resolves when the link has come about. Rejects with what it came to, or the reason of `signal`. */
  whenOpen(signal: AbortSignal): Promise<void> {
    return orAbort(this.opened.promise, signal);
  }

  /** Carries an exchange out. Rejects with Overloaded if too many are under way, else with what it or the link came to. */
  async run<T>(exchange: Exchange<T>, signal: AbortSignal): Promise<T> {
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

  admit(prelude: Prelude): void {
    const type = fromServer.typeOf(prelude.type);
    if (this.phase !== 'open') {
      const due = this.phase === 'greeting' ? 'challenge' : 'welcome';
      checkLengths(prelude, HANDSHAKE_FRAME_BYTES - PRELUDE_BYTES, 0);
      if (prelude.request === 0 && (type === due || type === 'error')) return;
      throw new Corrupt(`a peer sent '${type}' where '${due}' was due`);
    }
    checkLengths(prelude, FRAME_HEADER_BYTES, type === 'block' ? this.options.blockBytes : 0);
    if (this.exchanges.has(prelude.request) || (prelude.request === 0 && type === 'error')) return;
    throw new Corrupt(`a peer sent '${type}' for request ${prelude.request}, which is not in flight`);
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
      this.close(new Unavailable(`a peer took over ${PEER_DRAIN_MS} ms for the rest of a block that nobody waits for`)),
    );
    return false;
  }

  end(digest: BlockDigest | null): void {
    this.draining?.cancel();
    this.draining = null;
    const message = this.message!;
    this.message = null;
    if (this.request === 0) {
      this.greeted(message);
      return;
    }
    const exchange = this.exchanges.get(this.request)!;
    exchange.end(message, digest);
    // After the call: if it throws, the exchange is among those that end with the link.
    if (endsExchange(message)) this.exchanges.delete(this.request);
    this.restSoon();
  }

  awaits(): boolean {
    return this.phase !== 'open' || this.exchanges.size > 0;
  }

  closed(reason: ShoalError): void {
    const wasOpen = this.phase === 'open';
    this.phase = 'closed';
    this.deadline.cancel();
    this.payloads.close();
    this.opened.reject(reason);
    const exchanges = [...this.exchanges.values()];
    this.exchanges.clear();
    for (const exchange of exchanges) exchange.fail(reason);
    this.draining?.cancel();
    this.resting?.cancel();
    this.peerMemory?.close();
    this.options.onClosed(reason, wasOpen);
  }

  private greeted(message: ServerMessage): void {
    const { handshake } = this.options;
    switch (message.type) {
      case 'challenge':
        this.phase = 'proving';
        this.say(0, handshake.prove(message));
        return;
      case 'welcome':
        handshake.accept(message);
        this.phase = 'open';
        this.deadline.cancel();
        this.connection.trust();
        this.peerMemory = this.options.openMemory?.(this.connection.fileDescriptor) ?? null;
        this.opened.resolve();
        return;
      case 'error':
        throw fromWire(message);
    }
  }

  /** Not at once: what was fetched is in use now, by somebody in a hurry. */
  private restSoon(): void {
    if (this.peerMemory === null || this.exchanges.size > 0) return;
    this.resting?.cancel();
    this.resting = this.options.clock.after(PEER_MEMORY_REST_MS, () => {
      if (this.exchanges.size === 0) this.peerMemory?.rest();
    });
  }

  private enter(exchange: Exchange<unknown>): void {
    if (this.phase !== 'open') throw new Unavailable('the connection to a peer was closed');
    if (this.exchanges.size >= PEER_REQUESTS_IN_FLIGHT) {
      throw new Overloaded(`a peer has ${PEER_REQUESTS_IN_FLIGHT} requests of this worker in flight: ask another`);
    }
    const request = this.nextRequest();
    this.exchanges.set(request, exchange);
    exchange.start({
      send: (message, payload) => this.say(request, message, payload),
      payloads: this.payloads,
      close: (reason) => this.close(reason),
    });
  }

  /** Numbers go round; after four milliards of requests one may still be in flight. */
  private nextRequest(): number {
    do this.requests = (this.requests + 1) >>> 0;
    while (this.requests === 0 || this.exchanges.has(this.requests));
    return this.requests;
  }

  private say(request: number, message: ClientMessage, payload?: Payload): void {
    const { code, header } = fromClient.pack(message);
    this.connection.send(code, request, header, payload);
  }
}
