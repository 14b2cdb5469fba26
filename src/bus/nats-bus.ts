import { within } from '../async/within.js';
import { SystemClock } from '../clock.js';
import { Overloaded, Refused, Unavailable } from '../errors.js';
import * as limits from '../limits.js';
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
import { MessageTurns } from './message-turns.js';
import { cutConnection, isViolation, type Msg, type NatsConnection, type PermissionViolation } from './nats-client.js';
import type { NatsOptions } from './nats-options.js';
import { NatsPulse } from './nats-pulse.js';
import { checkPattern, checkSubject } from './subject.js';

/** The bus over a connection to NATS: notices when it is lost, and bounds the bytes that wait for the server. */

/** Default limit on the published bytes that the server has not read yet. */
const BUS_PENDING_BYTES = 64 * 2 ** 20;
/** How long a server has, at the end, to read what was sent. */
const DRAIN_MS = 2_000;
/** Limit on a message that NATS has unless its configuration sets another one. */
const NATS_DEFAULT_PAYLOAD_BYTES = 1024 * 1024;

/** Bytes published between two flushes, by which the server confirms that it has read them. */
const CONFIRM_BYTES = 256 * 1024;

/** The status with which the server reports that a message has no subscriber. */
const NO_RESPONDERS = 503;

/** Limit on the subjects whose refusal is reported. */
const REFUSALS = 64;

/** The bus over one NATS connection. */
export class NatsBus implements Bus {
  private state: 'connected' | 'lost' | 'closed' = 'connected';
  private readonly listeners = new Set<(status: BusStatus) => void>();
  private readonly pulse: NatsPulse;
  private readonly turns: MessageTurns;
  private readonly maxPendingBytes: number;
  private readonly onError: OnBusError;
  /** Published bytes that the server has not confirmed. */
  private pendingBytes = 0;
  /** The part of `pendingBytes` published since the last flush. */
  private unflushedBytes = 0;
  /** Published in this turn of the event loop, and not handed to the library yet. */
  private gathered: { readonly subject: string; readonly payload: Uint8Array; readonly reply: string | undefined }[] =
    [];
  /** What the connected server has refused for lack of rights. */
  private readonly refusals = new Set<string>();

  constructor(
    /** For JetStream and key-value buckets, whose packages wrap a connection. */
    readonly connection: NatsConnection,
    private readonly options: Pick<NatsOptions, 'maxPendingBytes' | 'onError' | 'onRefused' | 'onLost'> = {},
  ) {
    this.maxPendingBytes = options.maxPendingBytes ?? BUS_PENDING_BYTES;
    this.onError = options.onError ?? throwLater;
    this.turns = new MessageTurns(this.onError, options.onLost);
    this.pulse = new NatsPulse({
      stats: () => connection.stats(),
      flush: () => connection.flush(),
      reconnect: async () => {
        await connection.reconnect();
        cutConnection(connection);
      },
    });
    this.pulse.start();
    void this.watch();
  }

  get maxPayloadBytes(): number {
    return Math.min(this.connection.info?.max_payload ?? limits.BUS_MESSAGE_BYTES, limits.BUS_MESSAGE_BYTES);
  }

  get shortcoming(): string | null {
    const limit = this.connection.info?.max_payload ?? limits.BUS_MESSAGE_BYTES;
    if (limit >= limits.BUS_MESSAGE_BYTES) return [...this.refusals][0] ?? null;
    const needed = limits.BUS_MESSAGE_BYTES;
    return `the server ${this.connection.getServer()} takes messages of at most ${limit} bytes, and shoal sends up to ${needed} bytes; set max_payload to ${NATS_DEFAULT_PAYLOAD_BYTES}, the default of NATS, in its configuration`;
  }

  get connected(): boolean {
    return this.state === 'connected';
  }

  publish(subject: string, payload: Uint8Array, reply?: string): void {
    checkSubject(subject);
    if (reply !== undefined) checkSubject(reply);
    checkPayload(payload, limits.BUS_MESSAGE_BYTES);
    if (this.state !== 'connected') throw new Unavailable(`cannot publish: NATS is ${this.state}`);
    if (payload.byteLength > this.maxPayloadBytes) {
      throw new Unavailable(`cannot publish ${payload.byteLength} bytes: ${this.shortcoming}`);
    }
    if (this.pendingBytes + payload.byteLength > this.maxPendingBytes) {
      throw new Overloaded(`cannot publish: NATS has not read ${this.pendingBytes} earlier bytes yet; retry later`);
    }
    if (this.gathered.length === 0) setImmediate(() => this.publishGathered());
    this.gathered.push({ subject, payload, reply });
    this.account(payload.byteLength);
  }

  subscribe(pattern: string, handler: (message: BusMessage) => void, options: SubscribeOptions = {}): Subscription {
    checkPattern(pattern);
    if (this.state === 'closed') throw new Unavailable(`cannot subscribe to ${pattern}: the bus is closed`);
    // Of a pattern without wildcards the subject of each message is known, and need not be read from its bytes.
    const known = /[*>]/.test(pattern) ? null : pattern;
    const deliver = (message: BusMessage) => {
      if (!subscription.isClosed() && (!message.nobody || options.reports)) handler(message);
    };
    const subscription = this.connection.subscribe(pattern, {
      ...(options.queue === undefined ? {} : { queue: options.queue }),
      callback: (error, message) => {
        try {
          if (error === null) this.turns.take(toBusMessage(message, known), deliver, options.sender);
          else if (isViolation(error)) this.refuse(error);
          else throw error;
        } catch (thrown) {
          this.onError(thrown);
        }
      },
    });
    return {
      unsubscribe: () => {
        if (!subscription.isClosed()) subscription.unsubscribe();
      },
    };
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Messages that this process has received before the answer are handled, too. */
  async flush(): Promise<void> {
    if (this.state !== 'connected') throw new Unavailable(`cannot flush: NATS is ${this.state}`);
    this.publishGathered();
    try {
      await this.connection.flush();
      const { waited } = this.turns;
      // `watch` hears of refusals that came before the answer a few steps later than this.
      do await new Promise(setImmediate);
      while (!this.turns.areOver(waited));
    } catch {
      throw new Unavailable('cannot flush: the connection to NATS was lost');
    }
  }

  async close(): Promise<void> {
    if (this.state === 'closed') return;
    const connected = this.state === 'connected';
    this.publishGathered();
    this.state = 'closed';
    this.pulse.stop();
    this.listeners.clear();
    // A drain waits for the server, so it would hang on a lost connection.
    if (connected) await this.drain();
    await this.connection.close();
    // A socket that was being dialled would keep this process alive.
    cutConnection(this.connection);
  }

  /** Sends what was published, unless the server does not read it. */
  private async drain(): Promise<void> {
    await within(new SystemClock(), DRAIN_MS, this.connection.drain()).catch(() => undefined);
  }

  /**
   * Hands all messages of this turn of the event loop to the library at once. It makes one write of what it is given without a pause, and a write
   * costs more than a message. Messages for a server that is lost by now are dropped, as the library would drop them.
   */
  private publishGathered(): void {
    const messages = this.gathered;
    this.gathered = [];
    // The connection may have closed in this turn, and `watch` hears of it later.
    if (this.state !== 'connected' || this.connection.isClosed()) return;
    try {
      for (const { subject, payload, reply } of messages) {
        this.connection.publish(subject, payload, reply === undefined ? undefined : { reply });
      }
    } catch (thrown) {
      this.onError(thrown);
    }
  }

  private account(bytes: number): void {
    this.pendingBytes += bytes;
    this.unflushedBytes += bytes;
    if (this.unflushedBytes < Math.min(CONFIRM_BYTES, this.maxPendingBytes / 2)) return;
    const flushed = this.unflushedBytes;
    this.unflushedBytes = 0;
    const over = () => {
      this.pendingBytes = Math.max(this.pendingBytes - flushed, 0);
    };
    const confirmed = () => {
      this.pulse.confirm();
      over();
    };
    this.publishGathered();
    // A failed flush counts too: on a lost connection the bytes are dropped, not sent later.
    this.connection.flush().then(confirmed, over);
  }

  private async watch(): Promise<void> {
    for await (const status of this.connection.status()) {
      if (status.type === 'error' && isViolation(status.error)) this.refuse(status.error);
      if (status.type === 'disconnect') this.change('connected', 'lost');
      if (status.type === 'reconnect') this.change('lost', 'connected');
    }
  }

  /** Requests to buckets fail by themselves, with an error of their own: their subjects start with `$`. */
  private refuse({ operation, subject }: PermissionViolation): void {
    if (subject.startsWith('$') || subject.startsWith('_INBOX.')) return;
    const act = operation === 'publish' ? 'publish to' : 'subscribe to';
    const why = `NATS does not allow this user to ${act} ${subject}; grant it the rights that "shoal nats-users" prints`;
    if (this.refusals.has(why) || this.refusals.size >= REFUSALS) return;
    this.refusals.add(why);
    const onRefused = this.options.onRefused ?? this.onError;
    try {
      onRefused(new Refused(why));
    } catch (thrown) {
      this.onError(thrown);
    }
  }

  private change(from: 'connected' | 'lost', to: 'connected' | 'lost'): void {
    if (this.state !== from) return;
    this.state = to;
    this.unflushedBytes = 0;
    if (to === 'connected') this.pulse.start();
    else this.pulse.stop();
    // The next server may have other rights.
    this.refusals.clear();
    if (to === 'lost') this.pendingBytes = 0;
    for (const listener of [...this.listeners]) listener(to === 'lost' ? 'lost' : 'found');
  }
}

function toBusMessage(message: Msg, known: string | null): BusMessage {
  const { data, reply } = message;
  const subject = known ?? message.subject;
  const nobody = data.byteLength === 0 && message.headers?.code === NO_RESPONDERS;
  return { subject, payload: data, reply: reply ? reply : null, nobody };
}
