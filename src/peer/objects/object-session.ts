import { Semaphore } from '../../async/semaphore.js';
import type { BlockDigest } from '../../core/block.js';
import { Corrupt, fromWire, Overloaded, Refused, toWire } from '../../errors.js';
import { FRAME_HEADER_BYTES, PEER_BLOCKS_IN_SOCKET, PEER_REQUESTS_IN_FLIGHT } from '../../limits.js';
import { EXTENT_BYTES } from '../../objects/extent-pool.js';
import { objectName } from '../../objects/object-name.js';
import type { ObjectHost } from '../../objects/object-node.js';
import type { Connection, ConnectionOwner, Payload } from '../wire/connection.js';
import type { Prelude } from '../wire/frame.js';
import type { PeerIdentity } from '../wire/handshake.js';
import { failureOf } from '../wire/message-format.js';
import { answerTo } from './object-answers.js';
import {
  FOR_MEMBERS,
  type ObjectClientMessage,
  type ObjectServerMessage,
  objectsFromClient,
  objectsFromServer,
} from './object-messages.js';
import { ObjectReading } from './object-reading.js';
import { ObjectUpload, type UploadedObject } from './object-upload.js';

/** The dialled side of one connection for objects, after the handshake. */

export interface ObjectSessionOptions {
  readonly host: ObjectHost;
  /** Whether the peer is a member now, in this incarnation: others, such as coordinators, make no copies. */
  readonly isMember: (peer: PeerIdentity) => boolean;
  /** Limit on the bytes of an object. */
  readonly objectBytes: number;
}

/** The way of an answer to the peer that asked. */
export interface ObjectReply {
  send(message: ObjectServerMessage, payload?: Payload): void;
  /** Sends the last message. */
  finish(message: ObjectServerMessage): void;
  /** Each payload given to `send` needs a permit. */
  readonly payloads: Semaphore;
}

type InFlight =
  | { readonly kind: 'reading'; readonly reading: ObjectReading }
  | { readonly kind: 'upload'; readonly upload: ObjectUpload }
  | { readonly kind: 'question' };

/** Answers the requests of one peer. */
export class ObjectSession implements ConnectionOwner {
  private readonly inFlight = new Map<number, InFlight>();
  private readonly payloads = new Semaphore(PEER_BLOCKS_IN_SOCKET);
  private readonly leaving = new AbortController();
  /** The frame that is coming in, and its request. */
  private message: ObjectClientMessage | null = null;
  private request = 0;

  constructor(
    private readonly connection: Connection,
    private readonly options: ObjectSessionOptions,
  ) {}

  admit({ type: code, request, headerBytes, payloadBytes }: Prelude): void {
    const type = objectsFromClient.typeOf(code);
    const most = type === 'part' ? EXTENT_BYTES : 0;
    if (headerBytes > FRAME_HEADER_BYTES || payloadBytes > most || (type === 'part' && payloadBytes === 0)) {
      throw new Corrupt(`a peer sent '${type}' with ${headerBytes} + ${payloadBytes} bytes, over the limit`);
    }
    const known = this.inFlight.get(request);
    if (type === 'stop' || type === 'more') return;
    const fits = type === 'part' ? known?.kind === 'upload' : known === undefined && request !== 0;
    if (!fits) throw new Corrupt(`a peer sent '${type}' for request ${request}, to which it does not belong`);
  }

  begin(prelude: Prelude, header: Uint8Array): Uint8Array | null {
    this.request = prelude.request;
    const message = objectsFromClient.read(objectsFromClient.typeOf(prelude.type), header);
    this.message = message;
    if (message.type !== 'part') return null;
    return this.upload(this.request).target(prelude.payloadBytes);
  }

  /** A peer finishes every part that it began. */
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
    return [...this.inFlight.values()].some((each) => each.kind === 'upload' && each.upload.awaits);
  }

  closed(): void {
    this.payloads.close();
    this.leaving.abort();
    for (const each of this.inFlight.values()) {
      if (each.kind === 'reading') each.reading.stop();
      if (each.kind === 'upload') each.upload.abort();
    }
    this.inFlight.clear();
  }

  private serve(message: ObjectClientMessage, digest: BlockDigest | null): void {
    const { request } = this;
    switch (message.type) {
      case 'read':
        this.read(message);
        return;
      case 'more':
        this.reading(request)?.more(message.pieces);
        return;
      case 'stop':
        this.stop(request);
        return;
      case 'write':
        this.enter(request, { kind: 'upload', upload: this.uploadOf(message) });
        this.proceed(request);
        return;
      case 'copy':
        this.enter(request, { kind: 'upload', upload: this.uploadOf(message) });
        this.proceed(request);
        return;
      case 'part':
        this.upload(request).filled(message.digest, digest);
        this.proceed(request);
        return;
      case 'ask':
        this.ask(message);
        return;
    }
  }

  private read(message: Extract<ObjectClientMessage, { type: 'read' }>): void {
    const { request } = this;
    const { type: _, space, key, ...options } = message;
    const reading = new ObjectReading(this.replyTo(request));
    this.enter(request, { kind: 'reading', reading });
    const { host } = this.options;
    const name = objectName(space, key);
    void reading.run(() => host.read(name, options, this.leaving.signal));
  }

  private ask({ question }: Extract<ObjectClientMessage, { type: 'ask' }>): void {
    const { request } = this;
    this.enter(request, { kind: 'question' });
    const reply = this.replyTo(request);
    if (FOR_MEMBERS.has(question.op) && !this.isMember) {
      reply.finish({ type: 'error', ...failureOf(this.noMember()) });
      return;
    }
    answerTo(question, this.options.host, this.leaving.signal).then(
      (value) => reply.finish({ type: 'answer', value }),
      (error: unknown) => reply.finish({ type: 'error', ...failureOf(error) }),
    );
  }

  private uploadOf(message: UploadedObject): ObjectUpload {
    const { host, objectBytes } = this.options;
    const name = objectName(message.space, message.key);
    const size = message.type === 'write' ? message : message.info;
    const { bytes } = size;
    const refusal =
      message.type === 'copy' && !this.isMember
        ? this.noMember()
        : bytes > objectBytes
          ? new Overloaded(`an object has at most ${objectBytes} bytes (--object-bytes less 16 KiB), got ${bytes}`)
          : null;
    return new ObjectUpload(host, name, message, size, refusal);
  }

  /** Answers an upload that is refused or complete. It stays in flight until its last part has come, or the peer sends no more. */
  private proceed(request: number): void {
    const upload = this.upload(request);
    const reply = this.replyTo(request);
    const refusal = upload.takeRefusal();
    if (refusal !== null) reply.send(refusal);
    if (!upload.complete) return;
    if (upload.refused) {
      this.inFlight.delete(request);
      return;
    }
    upload.store(this.leaving.signal).then(
      (value) => reply.finish({ type: 'answer', value }),
      (error: unknown) => reply.finish({ type: 'error', ...failureOf(error) }),
    );
  }

  private stop(request: number): void {
    const known = this.inFlight.get(request);
    if (known?.kind === 'reading') known.reading.stop();
    if (known?.kind !== 'upload' || known.upload.complete) return;
    known.upload.abort();
    this.inFlight.delete(request);
    if (!known.upload.refused) this.connection.say(objectsFromServer, request, { type: 'done' });
  }

  private reading(request: number): ObjectReading | null {
    const known = this.inFlight.get(request);
    return known?.kind === 'reading' ? known.reading : null;
  }

  private upload(request: number): ObjectUpload {
    const known = this.inFlight.get(request);
    if (known?.kind !== 'upload') throw new Corrupt(`a peer sent a part for request ${request}, which takes none`);
    return known.upload;
  }

  private get isMember(): boolean {
    return this.options.isMember(this.connection.peer!);
  }

  private noMember(): Refused {
    const { id, incarnation } = this.connection.peer!;
    return new Refused(
      `${id} (incarnation ${incarnation}) is not a member of this fleet: only its workers make copies`,
    );
  }

  private enter(request: number, entry: InFlight): void {
    // Only a peer that sends more requests than allowed, or does not read its answers, gets here.
    if (this.inFlight.size >= 2 * PEER_REQUESTS_IN_FLIGHT) {
      throw new Overloaded(`a peer has more than ${PEER_REQUESTS_IN_FLIGHT} requests in flight`);
    }
    this.inFlight.set(request, entry);
  }

  private replyTo(request: number): ObjectReply {
    return {
      payloads: this.payloads,
      send: (message, payload) => this.connection.say(objectsFromServer, request, message, payload),
      finish: (message) => {
        if (!this.inFlight.delete(request)) return;
        this.connection.say(objectsFromServer, request, message);
      },
    };
  }
}
