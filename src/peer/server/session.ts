import type { Socket } from 'node:net';
import { Semaphore } from '../../async/semaphore.js';
import type { Clock, Timer } from '../../clock.js';
import type { BlockDigest } from '../../core/block.js';
import { Corrupt, fromWire, Overloaded, Refused, type ShoalError, toWire } from '../../errors.js';
import {
  FRAME_HEADER_BYTES,
  HANDSHAKE_FRAME_BYTES,
  PEER_BLOCKS_IN_SOCKET,
  PEER_BLOCKS_LENT,
  PEER_REQUESTS_IN_FLIGHT,
} from '../../limits.js';
import type { PeerObserver } from '../observer.js';
import { Connection, type ConnectionOwner, type Payload } from '../wire/connection.js';
import { checkLengths, PRELUDE_BYTES, type Prelude } from '../wire/frame.js';
import type { PeerIdentity, ServerHandshake } from '../wire/handshake.js';
import { type ClientMessage, fromClient, fromServer, type ServerMessage } from '../wire/messages.js';
import type { Inlet } from '../wire/socket.js';
import { failureOf } from '../wire/wire-failure.js';
import type { Answer, Reply } from './answer.js';
import type { BlockHost } from './block-host.js';
import { BorrowAnswer } from './borrow-answer.js';
import { FetchAnswer } from './fetch-answer.js';
import { OfferAnswer } from './offer-answer.js';
import { PONG } from './pong.js';

export interface SessionOptions {
  readonly open: (inlet: Inlet) => Socket;
  readonly handshake: ServerHandshake;
  readonly host: BlockHost;
  /** Bytes of every block, by the fleet's K/V layout. */
  readonly blockBytes: number;
  readonly clock: Clock;
  readonly observer: PeerObserver;
  readonly handshakeTimeoutMs: number;
  readonly progressTimeoutMs: number;
  /** The session is over; `peer` is who it was with, null if that was never proved. */
  readonly onClosed: (reason: ShoalError, peer: PeerIdentity | null) => void;
}

/** The dialled side of one connection: has the peer prove itself, then serves its requests. */
export class Session implements ConnectionOwner {
  private phase: 'greeting' | 'proving' | 'open' | 'closed' = 'greeting';
  private peer: PeerIdentity | null = null;
  private readonly answers = new Map<number, Answer>();
  /** Answers of which the last message is not on its way yet. */
  private ending = 0;
  private readonly payloads = new Semaphore(PEER_BLOCKS_IN_SOCKET);
  private readonly loans = new Semaphore(PEER_BLOCKS_LENT);
  private readonly connection: Connection;
  private readonly deadline: Timer;
  /** The frame that is coming in, and what it is for. */
  private message: ClientMessage | null = null;
  private request = 0;

  constructor(private readonly options: SessionOptions) {
    const { clock, handshakeTimeoutMs } = options;
    this.connection = new Connection(options.open, this, options.progressTimeoutMs);
    this.deadline = clock.after(handshakeTimeoutMs, () =>
      this.connection.close(new Refused(`a peer did not prove itself within ${handshakeTimeoutMs} ms`)),
    );
  }

  close(reason: ShoalError): void {
    this.connection.close(reason);
  }

  admit(prelude: Prelude): void {
    const type = fromClient.typeOf(prelude.type);
    if (this.phase !== 'open') {
      const due = this.phase === 'greeting' ? 'hello' : 'proof';
      checkLengths(prelude, HANDSHAKE_FRAME_BYTES - PRELUDE_BYTES, 0);
      if (prelude.request === 0 && type === due) return;
      throw new Corrupt(`a peer sent '${type}' where '${due}' was due`);
    }
    checkLengths(prelude, FRAME_HEADER_BYTES, type === 'put' ? this.options.blockBytes : 0);
    const going = this.answers.has(prelude.request);
    if (type === 'cancel') return;
    const followsUp = type === 'put' || type === 'return';
    if (followsUp ? going : !going && prelude.request !== 0) return;
    throw new Corrupt(`a peer sent '${type}' for request ${prelude.request}, which is ${going ? '' : 'not '}in flight`);
  }

  begin(prelude: Prelude, header: Uint8Array): Uint8Array | null {
    this.request = prelude.request;
    const message = fromClient.read(fromClient.typeOf(prelude.type), header);
    this.message = message;
    return message.type === 'put' ? this.answers.get(this.request)!.put(message.index) : null;
  }

  /** What a peer began to put it also finishes, whatever becomes of it. */
  wants(): boolean {
    return true;
  }

  end(digest: BlockDigest | null): void {
    const message = this.message!;
    this.message = null;
    try {
      if (this.phase === 'open') this.serve(message, digest);
      else this.greeted(message);
    } catch (error) {
      this.refuse(fromWire(toWire(error)));
    }
  }

  awaits(): boolean {
    return this.phase !== 'open' || [...this.answers.values()].some((answer) => answer.awaits());
  }

  closed(reason: ShoalError): void {
    this.phase = 'closed';
    this.deadline.cancel();
    this.payloads.close();
    this.loans.close();
    for (const answer of this.answers.values()) answer.closed();
    this.answers.clear();
    this.options.onClosed(reason, this.peer);
  }

  private greeted(message: ClientMessage): void {
    const { handshake } = this.options;
    if (message.type === 'hello') {
      this.phase = 'proving';
      this.say(0, handshake.answer(message));
      return;
    }
    if (message.type !== 'proof') return;
    const { welcome, peer } = handshake.accept(message);
    this.peer = peer;
    this.phase = 'open';
    this.deadline.cancel();
    this.connection.trust();
    this.say(0, welcome);
  }

  private serve(message: ClientMessage, digest: BlockDigest | null): void {
    const { host, blockBytes, clock, observer } = this.options;
    switch (message.type) {
      case 'fetch':
        this.enter(new FetchAnswer(message.keys, host, blockBytes, clock, observer));
        return;
      case 'borrow':
        this.enter(new BorrowAnswer(message.keys, host, blockBytes, clock, observer));
        return;
      case 'return':
        this.answers.get(this.request)?.returned();
        return;
      case 'offer':
        this.enter(new OfferAnswer(message.blocks, host, blockBytes, observer));
        return;
      case 'ping':
        this.enter(PONG);
        return;
      case 'put':
        this.answers.get(this.request)?.filled(digest!);
        return;
      case 'cancel':
        this.answers.get(this.request)?.cancel();
        return;
    }
  }

  private enter(answer: Answer): void {
    // Only a peer that asks for more than it may, or does not read its answers, gets here.
    if (this.answers.size + this.ending >= 2 * PEER_REQUESTS_IN_FLIGHT) {
      throw new Overloaded(`a peer has more than ${PEER_REQUESTS_IN_FLIGHT} requests in flight`);
    }
    const request = this.request;
    const reply: Reply = {
      send: (message, payload) => this.say(request, message, payload),
      finish: (message) => {
        this.answers.delete(request);
        this.ending++;
        this.say(request, message, undefined, () => this.ending--);
      },
      close: (reason) => this.close(reason),
      payloads: this.payloads,
      loans: this.loans,
    };
    this.answers.set(request, answer);
    try {
      answer.start(reply);
    } catch (error) {
      answer.closed();
      reply.finish({ type: 'error', ...failureOf(error) });
    }
  }

  private refuse(reason: ShoalError): void {
    const { code, header } = fromServer.pack({ type: 'error', ...failureOf(reason) });
    this.connection.refuse(code, header, reason);
  }

  private say(request: number, message: ServerMessage, payload?: Payload, sent?: () => void): void {
    const { code, header } = fromServer.pack(message);
    this.connection.send(code, request, header, payload, sent);
  }
}
