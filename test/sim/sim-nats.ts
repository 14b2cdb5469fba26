import type { Bus, BusMessage, BusStatus, SubscribeOptions, Subscription } from '../../src/bus/bus.js';
import { checkPayload } from '../../src/bus/bus.js';
import { MemoryKeyValue } from '../../src/bus/memory-key-value.js';
import { checkPattern, checkSubject, matches } from '../../src/bus/subject.js';
import { Unavailable } from '../../src/errors.js';
import { BUS_MESSAGE_BYTES } from '../../src/limits.js';
import type { SeededRandom } from '../../src/random.js';
import type { Net, Wire } from './net.js';
import type { SimProcess } from './sim-process.js';
import { WALL_ORIGIN_MS } from './virtual-time.js';

/** NATS as the fleet meets it: one server that may go away or lose its store, and clients that notice by their pings and connect again. */

export const NATS_HOST = 'nats';

/** As `nats-connect.ts` sets them. */
const PING_INTERVAL_MS = 1_000;
const PINGS_OUT = 2;
const RECONNECT_MS = 100;
const RECONNECT_CEILING_MS = 2_000;
const CONNECT_TIMEOUT_MS = 5_000;

/** A client's connection, as the server sees it. */
interface Connection {
  readonly client: SimBus;
  readonly out: Wire;
  readonly patterns: Map<number, string>;
  /** The ids of the patterns that match a subject, as far as they are known. */
  readonly matching: Map<string, readonly number[]>;
}

/** Subjects of which a connection remembers the subscriptions. */
const MATCHING_KEPT = 1_000;

function matchingOf({ patterns, matching }: Connection, subject: string): readonly number[] {
  const known = matching.get(subject);
  if (known) return known;
  const ids = [...patterns].filter(([, pattern]) => matches(pattern, subject)).map(([id]) => id);
  if (matching.size >= MATCHING_KEPT) matching.clear();
  matching.set(subject, ids);
  return ids;
}

/** How messages fare while they are unreliable: the chances that one is lost, or comes twice. */
export interface Unreliability {
  readonly loss: number;
  readonly duplicates: number;
}

/**
 * How its store refuses: the disk is `full`, so that it takes no writes; it is `mute` to writes, and answers reads; it is `silent`; or it is `off`,
 * until the server is restarted.
 */
export type StoreOutage = 'full' | 'mute' | 'silent' | 'off';

export class NatsServer {
  /** Whether it has ever lost its buckets. */
  wasEmptied = false;
  /** When the store first refused a process in the last outage, or left it without an answer. */
  readonly refusals = new Map<SimProcess, number>();
  private starts = 1;
  private readonly outages: StoreOutage[] = [];
  private up = true;
  private readonly connections = new Set<Connection>();
  private readonly buckets = new Map<string, MemoryKeyValue>();

  private readonly unreliable: Unreliability[] = [];

  constructor(readonly net: Net) {}

  /** Has messages get lost or come twice until the result is called. */
  lose(how: Unreliability): () => void {
    this.unreliable.push(how);
    return () => this.unreliable.splice(this.unreliable.indexOf(how), 1);
  }

  /** Has the store refuse until the result is called. */
  refuse(how: StoreOutage): () => void {
    this.outages.push(how);
    this.refusals.clear();
    return () => {
      this.outages.splice(this.outages.indexOf(how), 1);
      if (how !== 'off' || !this.up) return;
      this.stop();
      this.start();
    };
  }

  /** How the store refuses at the moment; null if it works. */
  get outage(): StoreOutage | null {
    return this.outages.at(-1) ?? null;
  }

  /** Differs from start to start. */
  get id(): string {
    return `nats-${this.starts}`;
  }

  /** Whether messages get lost, which they do not over the TCP of NATS: a request without an answer tells nothing of the store. */
  get isUnreliable(): boolean {
    return this.unreliable.length > 0;
  }

  /** Draws how often a message arrives: once, unless messages are unreliable. */
  drawArrivals(): number {
    const { random } = this.net.options;
    let arrivals = 1;
    for (const { loss, duplicates } of this.unreliable) {
      const drawn = random.next();
      if (drawn < loss) arrivals = 0;
      else if (drawn < loss + duplicates) arrivals *= 2;
    }
    return arrivals;
  }

  /** Ends the server and all its connections. */
  stop(): void {
    this.up = false;
    for (const connection of [...this.connections]) this.drop(connection);
  }

  start(): void {
    this.up = true;
    this.starts++;
  }

  /** Loses all buckets. */
  empty(): void {
    this.buckets.clear();
    this.wasEmptied = true;
  }

  /** For SimBus: a connection request has arrived. Null where nobody listens. */
  accept(client: SimBus, out: Wire): Connection | null {
    if (!this.up) return null;
    const connection: Connection = { client, out, patterns: new Map(), matching: new Map() };
    this.connections.add(connection);
    return connection;
  }

  /** For SimBus: the other end has closed. */
  forget(connection: Connection): void {
    this.connections.delete(connection);
  }

  /** For SimBus: whether a connection still is one. */
  has(connection: Connection): boolean {
    return this.connections.has(connection);
  }

  hasBucket(name: string): boolean {
    return this.buckets.has(name);
  }

  bucket(name: string): MemoryKeyValue {
    const bucket = this.buckets.get(name) ?? new MemoryKeyValue(() => WALL_ORIGIN_MS + this.net.options.time.nowMs);
    this.buckets.set(name, bucket);
    return bucket;
  }

  publish(from: Connection, message: Omit<BusMessage, 'nobody'>): void {
    let heard = false;
    const { subject, payload } = message;
    const sent: BusMessage = { subject, payload, reply: message.reply, nobody: false };
    for (const connection of this.connections) {
      for (const id of matchingOf(connection, subject)) {
        heard = true;
        for (let left = this.drawArrivals(); left > 0; left--)
          connection.out.send(() => connection.client.deliver(connection, id, sent));
      }
    }
    if (heard || message.reply === null) return;
    const { reply } = message;
    const nobody = { subject: reply, payload: new Uint8Array(0), reply: null, nobody: true };
    for (const id of matchingOf(from, reply)) from.out.send(() => from.client.deliver(from, id, nobody));
  }

  private drop(connection: Connection): void {
    this.connections.delete(connection);
    connection.out.send(() => connection.client.dropped(connection.out));
  }
}

function listen({ patterns, matching }: Connection, id: number, pattern: string | null): void {
  if (pattern === null) patterns.delete(id);
  else patterns.set(id, pattern);
  matching.clear();
}

interface Subscribed {
  readonly pattern: string;
  readonly reports: boolean;
  readonly handler: (message: BusMessage) => void;
}

/** The wires of one attempt to connect. */
interface Attempt {
  readonly to: Wire;
  readonly from: Wire;
  connection: Connection | null;
}

/** The client of one process. */
export class SimBus implements Bus {
  readonly maxPayloadBytes = BUS_MESSAGE_BYTES;
  readonly shortcoming = null;
  private state: 'connecting' | 'connected' | 'lost' | 'closed' = 'connecting';
  private attempt: Attempt | null = null;
  private pingsOut = 0;
  private lostMs = 0;
  private ids = 0;
  private readonly subscriptions = new Map<number, Subscribed>();
  private readonly listeners = new Set<(status: BusStatus) => void>();
  private readonly flushes = new Set<(error: Error) => void>();
  private firstConnected: () => void = () => {};
  /** The server of the last connection. */
  serverId: string | undefined = undefined;

  private constructor(
    readonly process: SimProcess,
    readonly server: NatsServer,
    private readonly random: SeededRandom,
    private readonly onError: (error: unknown) => void,
  ) {
    process.clock.every(PING_INTERVAL_MS, () => this.ping());
    process.onDeath(() => this.end());
  }

  /** Resolves once the server has accepted the first connection. */
  static async connect(
    process: SimProcess,
    server: NatsServer,
    random: SeededRandom,
    onError: (error: unknown) => void,
  ): Promise<SimBus> {
    const bus = new SimBus(process, server, random, onError);
    await new Promise<void>((resolve) => {
      bus.firstConnected = resolve;
      bus.dial();
    });
    return bus;
  }

  get connected(): boolean {
    return this.state === 'connected';
  }

  publish(subject: string, payload: Uint8Array, reply?: string): void {
    checkSubject(subject);
    if (reply !== undefined) checkSubject(reply);
    checkPayload(payload, this.maxPayloadBytes);
    if (this.state !== 'connected') throw new Unavailable(`cannot publish: NATS is ${this.state}`);
    this.tell((connection) => this.server.publish(connection, { subject, payload, reply: reply ?? null }));
  }

  subscribe(pattern: string, handler: (message: BusMessage) => void, options: SubscribeOptions = {}): Subscription {
    checkPattern(pattern);
    if (options.queue !== undefined) throw new Unavailable('the simulated NATS has no queue groups');
    if (this.state === 'closed') throw new Unavailable(`cannot subscribe to ${pattern}: the bus is closed`);
    const id = ++this.ids;
    this.subscriptions.set(id, { pattern, reports: options.reports === true, handler });
    this.tell((connection) => listen(connection, id, pattern));
    return {
      unsubscribe: () => {
        if (this.subscriptions.delete(id)) this.tell((connection) => listen(connection, id, null));
      },
    };
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async flush(): Promise<void> {
    if (this.state !== 'connected') throw new Unavailable(`cannot flush: NATS is ${this.state}`);
    await new Promise<void>((resolve, reject) => {
      const fail = () => reject(new Unavailable('cannot flush: the connection to NATS was lost'));
      this.flushes.add(fail);
      this.ask(
        () => {},
        () => {
          this.flushes.delete(fail);
          resolve();
        },
      );
    });
  }

  async close(): Promise<void> {
    if (this.state === 'closed') return;
    if (this.connected) await this.flush().catch(() => {});
    this.end();
  }

  /** Has the server run something, and this client what comes of it, as often as `arrivals` draws. */
  ask<T>(run: () => T, then: (result: T) => void, arrivals: () => number = () => 1): void {
    this.tell((connection) => {
      const result = run();
      for (let left = arrivals(); left > 0; left--) connection.out.send(() => this.process.post(() => then(result)));
    });
  }

  /** For NatsServer. */
  deliver(connection: Connection, id: number, message: BusMessage): void {
    this.process.post(() => {
      if (this.attempt?.connection !== connection || this.state === 'closed') return;
      try {
        const subscribed = this.subscriptions.get(id);
        if (subscribed?.reports || !message.nobody) subscribed?.handler(message);
      } catch (error) {
        this.onError(error);
      }
    });
  }

  /** For NatsServer: it has closed this connection. */
  dropped(wire: Wire): void {
    this.process.post(() => {
      if (this.attempt?.from === wire) this.lose();
    });
  }

  private tell(act: (connection: Connection) => void): void {
    const { attempt } = this;
    attempt?.to.send(() => {
      if (attempt.connection && this.server.has(attempt.connection)) act(attempt.connection);
    });
  }

  private dial(): void {
    if (this.state === 'closed') return;
    const { net } = this.server;
    const { host, clock } = this.process;
    const attempt: Attempt = { to: net.wire(host, NATS_HOST), from: net.wire(NATS_HOST, host), connection: null };
    this.attempt = attempt;
    this.pingsOut = 0;
    const patience = clock.after(CONNECT_TIMEOUT_MS, () => this.failed(attempt));
    attempt.to.send(() => {
      attempt.connection = this.server.accept(this, attempt.from);
      const { connection } = attempt;
      attempt.from.send(() =>
        this.process.post(() => {
          patience.cancel();
          if (this.attempt !== attempt) return;
          if (connection === null) this.failed(attempt);
          else this.opened();
        }),
      );
    });
  }

  private failed(attempt: Attempt): void {
    if (this.attempt !== attempt || this.connected) return;
    this.hangUp();
    this.dialLater();
  }

  private dialLater(): void {
    const { clock } = this.process;
    const lostForMs = this.state === 'lost' ? clock.now() - this.lostMs : 0;
    const base = Math.min(Math.max(lostForMs / 2, RECONNECT_MS), RECONNECT_CEILING_MS);
    clock.after(Math.round(base * (0.5 + this.random.next() / 2)), () => this.dial());
  }

  private opened(): void {
    const before = this.state;
    this.serverId = this.server.id;
    this.state = 'connected';
    for (const [id, { pattern }] of this.subscriptions) this.tell((connection) => listen(connection, id, pattern));
    if (before === 'connecting') this.firstConnected();
    else this.report('found');
  }

  private lose(): void {
    const { connected } = this;
    this.hangUp();
    if (!connected) return;
    this.state = 'lost';
    this.lostMs = this.process.clock.now();
    for (const fail of this.flushes) fail(new Error('lost'));
    this.flushes.clear();
    this.report('lost');
    this.dialLater();
  }

  private report(status: BusStatus): void {
    for (const listener of [...this.listeners]) {
      try {
        listener(status);
      } catch (error) {
        this.onError(error);
      }
    }
  }

  private hangUp(): void {
    const { attempt } = this;
    this.attempt = null;
    attempt?.to.send(() => attempt.connection && this.server.forget(attempt.connection));
  }

  private end(): void {
    this.state = 'closed';
    this.listeners.clear();
    this.hangUp();
  }

  private ping(): void {
    if (!this.connected) return;
    if (this.pingsOut >= PINGS_OUT) {
      this.lose();
      return;
    }
    this.pingsOut++;
    const { attempt } = this;
    this.ask(
      () => {},
      () => {
        if (this.attempt === attempt) this.pingsOut = 0;
      },
    );
  }
}
