import { Semaphore } from '../../async/semaphore.js';
import type { Clock } from '../../clock.js';
import type { BlockDigest, BlockKey, SealedBlock } from '../../core/block.js';
import type { Admission } from '../../core/durability.js';
import { Corrupt, fromWire, Overloaded, type Refused, type ShoalError, toWire } from '../../errors.js';
import {
  FRAME_HEADER_BYTES,
  PEER_BLOCKS_IN_SOCKET,
  PEER_BLOCKS_PINNED,
  PEER_REQUESTS_IN_FLIGHT,
} from '../../limits.js';
import type { Tracer } from '../../trace/span.js';
import type { PeerObserver } from '../observer.js';
import type { Connection, ConnectionOwner, Payload } from '../wire/connection.js';
import { checkLengths, type Prelude } from '../wire/frame.js';
import type { PeerIdentity } from '../wire/handshake.js';
import { failureOf } from '../wire/message-format.js';
import { type ClientMessage, fromClient, fromServer, type ServerMessage } from '../wire/messages.js';
import type { BlockHost } from './block-host.js';
import { CompareAnswer, type Comparer } from './compare-answer.js';
import { FetchAnswer } from './fetch-answer.js';
import { OfferAnswer } from './offer-answer.js';
import type { OfferMemory } from './offer-memory.js';
import { type PeerRole, refusal } from './peer-role.js';
import { PinAnswer } from './pin-answer.js';
import { tracedAnswer } from './traced-answer.js';

/** The dialled side of one connection for blocks, after the handshake. */

export interface PeerSessionOptions {
  readonly host: BlockHost;
  readonly comparer: Comparer;
  /** What the peer is now, in this incarnation. */
  readonly roleOf: (peer: PeerIdentity) => PeerRole;
  /** Bytes of every block, by the fleet's K/V layout. */
  readonly blockBytes: number;
  /** Shared by all sessions. */
  readonly offers: OfferMemory;
  readonly clock: Clock;
  readonly observer: PeerObserver;
  /** Default: nothing is recorded. */
  readonly tracer?: Tracer | undefined;
}

/** The dialled side of one request in a session, from its first frame to the last frame of the answer. */
export interface Answer {
  /** Called once, before all other methods. */
  start(reply: Reply): void;
  /** The payload of a `put` begins. Gives the memory for it. What it throws ends the session. Absent: the request takes no `put`. */
  put?(index: number): Uint8Array;
  /** The payload that began last has come. What it throws ends the session. */
  filled?(digest: BlockDigest): void;
  /** The peer does not read the blocks pinned last any more. What it throws ends the session. Absent: the request pins nothing. */
  unpinned?(): void;
  /** Whether the answer waits for a frame of the peer. */
  awaits(): boolean;
  /** The peer does not need the answer any more: end it soon. */
  cancel(): void;
  /** The session is over: no memory of the answer is read or written any more, and nothing can be sent. */
  closed(): void;
}

/** The way of an answer to the peer that asked. */
export interface Reply {
  send(message: ServerMessage, payload?: Payload): void;
  /** Sends the last message; the answer is not called any more. */
  finish(message: ServerMessage): void;
  /** The peer has broken a rule: closes the session. */
  close(reason: ShoalError): void;
  /** Each payload given to `send` needs a permit. */
  readonly payloads: Semaphore;
  /** Each block that is pinned for the peer needs a permit. */
  readonly pins: Semaphore;
}

/** Answers a ping. */
const PONG: Answer = {
  start: (reply) => reply.finish({ type: 'pong' }),
  awaits: () => false,
  cancel: () => {},
  closed: () => {},
};

/** Answers the requests of one peer. */
export class PeerSession implements ConnectionOwner {
  private readonly answers = new Map<number, Answer>();
  /** Answers whose last message the socket has not taken yet. */
  private ending = 0;
  private readonly payloads = new Semaphore(PEER_BLOCKS_IN_SOCKET);
  private readonly pins = new Semaphore(PEER_BLOCKS_PINNED);
  /** The frame that is coming in, and its request. */
  private message: ClientMessage | null = null;
  private request = 0;

  constructor(
    private readonly connection: Connection,
    private readonly options: PeerSessionOptions,
  ) {}

  admit(prelude: Prelude): void {
    const type = fromClient.typeOf(prelude.type);
    checkLengths(prelude, FRAME_HEADER_BYTES, type === 'put' ? this.options.blockBytes : 0);
    const inFlight = this.answers.has(prelude.request);
    if (type === 'cancel') return;
    const followsUp = type === 'put' || type === 'unpin';
    if (followsUp ? inFlight : !inFlight && prelude.request !== 0) return;
    throw new Corrupt(
      `a peer sent '${type}' for request ${prelude.request}, which is ${inFlight ? '' : 'not '}in flight`,
    );
  }

  begin(prelude: Prelude, header: Uint8Array): Uint8Array | null {
    this.request = prelude.request;
    const message = fromClient.read(fromClient.typeOf(prelude.type), header);
    this.message = message;
    if (message.type !== 'put') return null;
    const answer = this.answers.get(this.request)!;
    if (!answer.put) throw new Corrupt(`a peer sent 'put' for request ${this.request}, which is not an offer`);
    return answer.put(message.index);
  }

  /** A peer finishes every `put` that it began, whatever happens to the block. */
  wants(): boolean {
    return true;
  }

  end(digest: BlockDigest | null): void {
    const message = this.message!;
    this.message = null;
    try {
      this.serve(message, digest);
    } catch (error) {
      this.connection.refuse(fromWire(toWire(error)));
    }
  }

  awaits(): boolean {
    return [...this.answers.values()].some((answer) => answer.awaits());
  }

  closed(): void {
    this.payloads.close();
    this.pins.close();
    for (const answer of this.answers.values()) answer.closed();
    this.answers.clear();
  }

  private serve(message: ClientMessage, digest: BlockDigest | null): void {
    const { host, comparer, blockBytes, clock, observer, tracer } = this.options;
    const peer = this.connection.peer!;
    const refused = refusal(message, peer, this.options.roleOf(peer));
    if (refused !== null) {
      this.enter(refusing(refused));
      return;
    }
    switch (message.type) {
      case 'fetch':
        this.enter(
          tracedAnswer(new FetchAnswer(message.keys, host, blockBytes, clock, observer), message, peer, tracer),
        );
        return;
      case 'pin':
        this.enter(tracedAnswer(new PinAnswer(message.keys, host, blockBytes, clock, observer), message, peer, tracer));
        return;
      case 'unpin':
        this.unpin();
        return;
      case 'offer':
        this.enter(this.offer(message.blocks, 'evict'));
        return;
      case 'repair':
        this.enter(this.offer(message.blocks, 'spare'));
        return;
      case 'compare':
        this.enter(new CompareAnswer(peer.id, message, comparer));
        return;
      case 'ping':
        this.enter(PONG);
        return;
      case 'put':
        this.answers.get(this.request)?.filled?.(digest!);
        return;
      case 'cancel':
        this.answers.get(this.request)?.cancel();
        return;
    }
  }

  private offer(blocks: readonly SealedBlock[], admission: Admission): OfferAnswer {
    const { host, blockBytes, offers, clock, observer } = this.options;
    const peer = this.connection.peer!;
    const onDamaged = (block: BlockKey) => observer.onIntegrityFailure({ stage: 'push', peer: peer.id, block });
    return new OfferAnswer(blocks, { host, blockBytes, admission, offers, peer, clock, onDamaged });
  }

  private unpin(): void {
    const answer = this.answers.get(this.request);
    if (!answer) return;
    if (!answer.unpinned) throw new Corrupt(`a peer sent 'unpin' for request ${this.request}, which pins no blocks`);
    answer.unpinned();
  }

  private enter(answer: Answer): void {
    // Only a peer that sends more requests than allowed, or does not read its answers, gets here.
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
      close: (reason) => this.connection.close(reason),
      payloads: this.payloads,
      pins: this.pins,
    };
    this.answers.set(request, answer);
    try {
      answer.start(reply);
    } catch (error) {
      answer.closed();
      reply.finish({ type: 'error', ...failureOf(error) });
    }
  }

  private say(request: number, message: ServerMessage, payload?: Payload, sent?: () => void): void {
    this.connection.say(fromServer, request, message, payload, sent);
  }
}

/** Only the request fails, since the peer may become a member. */
function refusing(reason: Refused): Answer {
  return {
    start: (reply) => reply.finish({ type: 'error', ...failureOf(reason) }),
    awaits: () => false,
    cancel: () => {},
    closed: () => {},
  };
}
