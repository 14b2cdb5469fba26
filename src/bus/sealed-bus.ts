import { z } from 'zod';
import type { Clock } from '../clock.js';
import { Overloaded, Unavailable } from '../errors.js';
import { CALLS_IN_FLIGHT, FLEET_COORDINATORS, FLEET_WORKERS } from '../limits.js';
import type { Random } from '../random.js';
import { encode } from '../wire/msgpack.js';
import { readMessage } from '../wire/read-message.js';
import {
  type Bus,
  type BusMessage,
  type BusStatus,
  checkPayload,
  type OnBusError,
  type SubscribeOptions,
  type Subscription,
  throwLater,
} from './bus.js';
import { KnownSenders } from './known-senders.js';
import {
  type Envelope,
  type MessageRejection,
  MessageSealer,
  SEAL_SALT_BYTES,
  type Sender,
  sealBytes,
  senderOf,
} from './seal.js';
import { SealedReader } from './sealed-reader.js';
import { SenderArrivals } from './sender-arrivals.js';
import { subjectToken } from './subject.js';

/** A bus that seals its messages with the cluster secret, and rejects forgeries and replays. */

/** Limit on the known incarnations of senders. One that is forgotten has to prove again that it lives. */
const SENDERS = 2 * (FLEET_WORKERS + FLEET_COORDINATORS);
/** Limit on the messages of one sender that wait for its proof: its first may be as many calls as it may have in flight. */
const HELD_MESSAGES = CALLS_IN_FLIGHT;
/** Limit on the bytes of all messages that wait for a proof. */
const HELD_BYTES = 64 * 1024 * 1024;
/** Held messages that are handled in one turn of the event loop once their sender has proved that it lives. */
const HELD_TURN_MESSAGES = 32;
/** Memory of a message that waits, beside its payload. */
const HELD_MESSAGE_BYTES = 512;
/** Least time between two challenges to a sender. */
const CHALLENGE_INTERVAL_MS = 250;
/** Greatest age, accurate to one sample, of the messages that a receiver accepts from a sender when it first hears the sender. */
const FIRST_CONTACT_MS = 2_000;
/** Interval at which a sender records its counter, to know which messages are older than `FIRST_CONTACT_MS`. */
const SAMPLE_INTERVAL_MS = FIRST_CONTACT_MS / 4;
const NONCE_BYTES = 16;
/** The subscription to challenges and proofs; those of `subscribe` count from 1. */
const PROOFS = 0;

const Nonce = z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.byteLength === NONCE_BYTES);
const SealMessage = z.discriminatedUnion('type', [
  /** Asks a sender to prove that it lives. */
  z.strictObject({ type: z.literal('challenge'), nonce: Nonce }),
  /** Proves that the sender lives. Its messages up to `counter` are older than `FIRST_CONTACT_MS`. */
  z.strictObject({ type: z.literal('proof'), nonce: Nonce, counter: z.int().min(0) }),
]);

export interface SealedBusOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly secret: string;
  readonly self: Sender;
  /** First token of the subjects of challenges and proofs. */
  readonly namespace: string;
  readonly onDropped?: (reason: MessageRejection, subject: string) => void;
  readonly onError?: OnBusError;
}

interface Held {
  readonly subscription: number;
  readonly counter: number;
  readonly message: BusMessage;
  readonly handler: (message: BusMessage) => void;
}

/** One incarnation of a sender, as this process knows it. */
interface Known {
  readonly sender: Sender;
  /** Nonce of the open challenge; null once the sender has proved that it lives. */
  nonce: Uint8Array | null;
  challengedMs: number;
  /** Messages up to this counter are too old to be accepted, unless their subject names this process. */
  floor: number;
  readonly held: Held[];
  readonly arrivals: SenderArrivals;
}

/**
 * A bus whose messages only members of the fleet can read or write. Each message is sealed with the cluster secret. A receiver accepts each
 * message once. Before it accepts the first message of an incarnation, it challenges that incarnation to prove that it lives, so that recorded
 * messages of a sender that is gone are rejected.
 */
export class SealedBus implements Bus {
  private readonly sealer: MessageSealer;
  private readonly reader: SealedReader;
  private readonly known: KnownSenders<Known>;
  private readonly active = new Set<number>();
  private readonly proofs: Subscription;
  /** The part of a subject that names this incarnation. A message on such a subject cannot be older than the incarnation. */
  private readonly ownPart: string;
  private readonly samples: { readonly atMs: number; readonly counter: number }[] = [];
  private subscriptions = 0;
  private heldBytes = 0;

  constructor(private readonly options: SealedBusOptions) {
    const { bus, random, secret, self } = options;
    this.sealer = new MessageSealer(secret, self, random.bytes(SEAL_SALT_BYTES));
    this.reader = new SealedReader({ ...options, sendersKept: SENDERS });
    this.ownPart = `.${subjectToken(self.id)}.${subjectToken(self.incarnation)}`;
    const own = {
      sender: self,
      nonce: null,
      challengedMs: 0,
      floor: 0,
      held: [],
      arrivals: new SenderArrivals(),
    };
    this.known = new KnownSenders<Known>(this.sealer.origin, own, SENDERS, ({ held }) => {
      for (const message of held) this.heldBytes -= bytesOf(message);
    });
    this.proofs = bus.subscribe(this.proofSubject(self), (message) => this.onSealMessage(message), {
      sender: (message) => this.senderOf(PROOFS, message),
    });
  }

  get maxPayloadBytes(): number {
    return this.options.bus.maxPayloadBytes - sealBytes(this.options.self);
  }

  get connected(): boolean {
    return this.options.bus.connected;
  }

  get shortcoming(): string | null {
    return this.options.bus.shortcoming;
  }

  publish(subject: string, payload: Uint8Array, reply?: string): void {
    // Over its own limit, the bus below says whether another server would take the message.
    if (this.shortcoming === null) checkPayload(payload, this.maxPayloadBytes);
    this.sample();
    this.options.bus.publish(subject, this.sealer.seal(subject, reply ?? '', payload), reply);
  }

  subscribe(pattern: string, handler: (message: BusMessage) => void, options: SubscribeOptions = {}): Subscription {
    const id = ++this.subscriptions;
    this.active.add(id);
    const below = this.options.bus.subscribe(pattern, (message) => this.receive(id, message, handler), {
      ...options,
      sender: (message) => this.senderOf(id, message),
    });
    return {
      unsubscribe: () => {
        this.active.delete(id);
        for (const { arrivals } of this.known.all()) arrivals.forget(id);
        below.unsubscribe();
      },
    };
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    return this.options.bus.onStatus(listener);
  }

  flush(): Promise<void> {
    return this.options.bus.flush();
  }

  async close(): Promise<void> {
    this.proofs.unsubscribe();
    await this.options.bus.close();
  }

  /** Whose a message is that has to wait. To be asked once of each, in the order in which they came. */
  private senderOf(subscription: number, sealed: BusMessage): string | null {
    return this.reader.senderOf(sealed, ({ origin, counter }) => {
      const known = this.known.get(origin);
      return known === null || known.arrivals.wait(subscription, counter);
    });
  }

  private receive(subscription: number, sealed: BusMessage, handler: (message: BusMessage) => void): void {
    if (sealed.nobody) {
      this.reportNobody(sealed, handler);
      return;
    }
    const opened = this.reader.open(sealed);
    if (opened === null) return;
    const { envelope, payload } = opened;
    const known = this.touch(envelope);
    const message = { subject: sealed.subject, payload, reply: sealed.reply, nobody: false, from: known.sender };
    const held = { subscription, counter: envelope.counter, message, handler };
    if (known.nonce !== null) {
      this.hold(known, held);
      this.challenge(known, known.nonce);
    } else if (this.accepts(known, held)) {
      // Those that are still held come first.
      if (known.held.length === 0) this.deliver(held);
      else this.hold(known, held);
    }
  }

  /**
   * Passes on the server's report that a message has no subscriber, to subscriptions that asked for reports. The report is not sealed, so anyone on the bus
   * can forge it: it counts only on the subjects of this incarnation, to which its own calls are answered.
   */
  private reportNobody(report: BusMessage, handler: (message: BusMessage) => void): void {
    if (report.subject.includes(this.ownPart)) handler(report);
    else this.options.onDropped?.('forged', report.subject);
  }

  /** Holds a message until its turn: none comes before its sender has proved that it lives. Over a limit, that sender's oldest ones are dropped. */
  private hold(known: Known, held: Held): void {
    known.held.push(held);
    this.heldBytes += bytesOf(held);
    if (known.held.length > HELD_MESSAGES) this.dropOldest(known);
    // The senders that were heard least recently lose theirs first.
    for (const other of this.known.all()) {
      while (this.heldBytes > HELD_BYTES && other.held.length > 0) this.dropOldest(other);
      if (this.heldBytes <= HELD_BYTES) break;
    }
  }

  private dropOldest({ held }: Known): void {
    this.heldBytes -= bytesOf(held.shift()!);
  }

  /** Whether a message of a sender that has proved itself is new and not too old. To be asked once, in the order in which messages came. */
  private accepts(known: Known, { subscription, counter, message }: Held): boolean {
    const arrival = known.arrivals.take(subscription, counter);
    const isRecent = counter > known.floor || message.subject.includes(this.ownPart);
    if (arrival === 'first' && isRecent) return true;
    this.options.onDropped?.(arrival === 'repeated' ? 'replayed' : 'late', message.subject);
    return false;
  }

  private deliver({ subscription, message, handler }: Held): void {
    if (this.active.has(subscription)) handler(message);
  }

  private touch(envelope: Envelope): Known {
    return this.known.touch(envelope.origin, () => this.newSender(senderOf(envelope)));
  }

  private newSender(sender: Sender): Known {
    const nonce = this.options.random.bytes(NONCE_BYTES);
    return {
      sender,
      nonce,
      challengedMs: Number.NEGATIVE_INFINITY,
      floor: 0,
      held: [],
      arrivals: new SenderArrivals(),
    };
  }

  private challenge(known: Known, nonce: Uint8Array): void {
    const nowMs = this.options.clock.now();
    if (nowMs - known.challengedMs < CHALLENGE_INTERVAL_MS) return;
    known.challengedMs = nowMs;
    this.sendSealMessage(known.sender, { type: 'challenge', nonce });
  }

  private onSealMessage(sealed: BusMessage): void {
    const opened = this.reader.open(sealed);
    const message = opened && readMessage(SealMessage, opened.payload);
    if (!opened || !message) return;
    const known = this.touch(opened.envelope);
    const arrival = known.arrivals.take(PROOFS, opened.envelope.counter);
    if (arrival !== 'first') {
      this.options.onDropped?.(arrival === 'repeated' ? 'replayed' : 'late', sealed.subject);
      return;
    }
    const { nonce } = message;
    if (message.type === 'proof') this.onProof(known, nonce, message.counter);
    else this.sendSealMessage(known.sender, { type: 'proof', nonce, counter: this.olderCounter() });
  }

  private onProof(known: Known, nonce: Uint8Array, counter: number): void {
    if (!known.nonce || Buffer.compare(known.nonce, nonce) !== 0) return;
    known.nonce = null;
    known.floor = counter;
    // At once, so that repetitions, of which there may be a flood, wait for nothing and take no turn.
    const all = known.held.splice(0);
    for (const held of all) {
      if (this.accepts(known, held)) known.held.push(held);
      else this.heldBytes -= bytesOf(held);
    }
    this.deliverHeld(known);
  }

  /** A sender may have thousands of messages: they are handled in several turns, in which other work comes between them. */
  private deliverHeld(known: Known): void {
    for (const held of known.held.splice(0, HELD_TURN_MESSAGES)) {
      this.heldBytes -= bytesOf(held);
      try {
        this.deliver(held);
      } catch (error) {
        (this.options.onError ?? throwLater)(error);
      }
    }
    // A timer would not do: timers that are due follow each other without a turn of the event loop between them.
    if (known.held.length > 0) setImmediate(() => this.deliverHeld(known));
  }

  private sendSealMessage(to: Sender, message: z.infer<typeof SealMessage>): void {
    try {
      this.publish(this.proofSubject(to), encode(message));
    } catch (error) {
      // The next message of that sender leads to another challenge.
      if (!(error instanceof Unavailable || error instanceof Overloaded)) throw error;
    }
  }

  private proofSubject({ id, incarnation }: Sender): string {
    return `${this.options.namespace}.proof.${subjectToken(id)}.${subjectToken(incarnation)}`;
  }

  /** Records the number of messages sent so far, every `SAMPLE_INTERVAL_MS`. */
  private sample(): void {
    const nowMs = this.options.clock.now();
    const last = this.samples.at(-1);
    if (last && nowMs - last.atMs < SAMPLE_INTERVAL_MS) return;
    this.samples.push({ atMs: nowMs, counter: this.sealer.counter });
    while (this.samples[0] && nowMs - this.samples[0].atMs >= FIRST_CONTACT_MS) this.samples.shift();
  }

  /** A counter such that all messages up to it are older than `FIRST_CONTACT_MS`, less one sample. */
  private olderCounter(): number {
    const sinceMs = this.options.clock.now() - FIRST_CONTACT_MS;
    return this.samples.find(({ atMs }) => atMs > sinceMs)?.counter ?? this.sealer.counter;
  }
}

function bytesOf({ message }: Held): number {
  return message.payload.byteLength + HELD_MESSAGE_BYTES;
}
