import { Unavailable } from '../errors.js';
import { BUS_MESSAGE_BYTES } from '../limits.js';
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
import { checkPattern, checkSubject, matches } from './subject.js';

/** A bus in memory, for tests and simulations: the broker, and its connections. */

export interface MemoryBrokerOptions {
  maxPayloadBytes?: number;
  /** Runs each delivery; a microtask by default. It must keep the order of its calls, or messages arrive out of order. */
  schedule?: (deliver: () => void) => void;
  onError?: OnBusError;
}

/** A message on its way from one connection to another, for `MemoryBroker.fault`. */
interface Delivery {
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly payload: Uint8Array;
}

interface Entry {
  readonly bus: MemoryBus;
  readonly pattern: string;
  readonly queue: string | null;
  readonly reports: boolean;
  readonly handler: (message: BusMessage) => void;
}

/** The server of the buses in one process. It is deterministic: messages keep the order of `publish`, queue groups are served round-robin. */
export class MemoryBroker {
  readonly maxPayloadBytes: number;
  readonly onError: OnBusError;
  private readonly schedule: (deliver: () => void) => void;
  private readonly entries = new Set<Entry>();
  private readonly turns = new Map<string, number>();
  private readonly severed = new Set<string>();

  /** Number of times that a message is delivered; null for once each. Zero simulates a lost message, two a duplicate. */
  fault: ((passage: Delivery) => number) | null = null;

  constructor(options: MemoryBrokerOptions = {}) {
    this.maxPayloadBytes = options.maxPayloadBytes ?? BUS_MESSAGE_BYTES;
    this.schedule = options.schedule ?? queueMicrotask;
    this.onError = options.onError ?? throwLater;
  }

  connect(name: string): MemoryBus {
    return new MemoryBus(this, name);
  }

  /** Drops all messages from `from` to `to`, without an error, until `heal`. */
  sever(from: string, to: string): void {
    this.severed.add(`${from}\n${to}`);
  }

  heal(): void {
    this.severed.clear();
  }

  /** For MemoryBus. */
  add(entry: Entry): () => void {
    this.entries.add(entry);
    return () => this.entries.delete(entry);
  }

  /** For MemoryBus. */
  route(from: MemoryBus, message: BusMessage): void {
    this.schedule(() => {
      const receivers = this.receivers(message.subject);
      for (const entry of receivers) this.pass(from, entry, message);
      if (receivers.length === 0 && message.reply !== null) {
        this.route(from, { subject: message.reply, payload: new Uint8Array(0), reply: null, nobody: true });
      }
    });
  }

  private pass(from: MemoryBus, entry: Entry, message: BusMessage): void {
    if (this.severed.has(`${from.name}\n${entry.bus.name}`) || (message.nobody && !entry.reports)) return;
    const { subject, payload } = message;
    const times = this.fault?.({ from: from.name, to: entry.bus.name, subject, payload }) ?? 1;
    for (let i = 0; i < times; i++) {
      try {
        if (this.entries.has(entry)) entry.handler(message);
      } catch (error) {
        this.onError(error);
      }
    }
  }

  private receivers(subject: string): Entry[] {
    const fitting = [...this.entries].filter((entry) => entry.bus.connected && matches(entry.pattern, subject));
    const groups = new Map<string, Entry[]>();
    for (const entry of fitting) {
      if (entry.queue === null) continue;
      const group = `${entry.pattern}\n${entry.queue}`;
      groups.set(group, [...(groups.get(group) ?? []), entry]);
    }
    const chosen = [...groups].map(([group, members]) => {
      const turn = this.turns.get(group) ?? 0;
      this.turns.set(group, turn + 1);
      return members[turn % members.length];
    });
    return fitting.filter((entry) => entry.queue === null || chosen.includes(entry));
  }
}

/** One connection to a MemoryBroker. */
export class MemoryBus implements Bus {
  readonly shortcoming = null;
  private state: 'connected' | 'lost' | 'closed' = 'connected';
  private readonly listeners = new Set<(status: BusStatus) => void>();
  private readonly removals = new Set<() => void>();

  constructor(
    private readonly broker: MemoryBroker,
    readonly name: string,
  ) {}

  get maxPayloadBytes(): number {
    return this.broker.maxPayloadBytes;
  }

  get connected(): boolean {
    return this.state === 'connected';
  }

  publish(subject: string, payload: Uint8Array, reply?: string): void {
    checkSubject(subject);
    if (reply !== undefined) checkSubject(reply);
    checkPayload(payload, this.maxPayloadBytes);
    this.mustBeConnected('publish');
    this.broker.route(this, { subject, payload, reply: reply ?? null, nobody: false });
  }

  subscribe(pattern: string, handler: (message: BusMessage) => void, options: SubscribeOptions = {}): Subscription {
    checkPattern(pattern);
    if (this.state === 'closed') throw new Unavailable(`cannot subscribe to ${pattern}: the bus is closed`);
    const remove = this.broker.add({
      bus: this,
      pattern,
      queue: options.queue ?? null,
      reports: options.reports === true,
      handler,
    });
    this.removals.add(remove);
    return {
      unsubscribe: () => {
        this.removals.delete(remove);
        remove();
      },
    };
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async flush(): Promise<void> {
    this.mustBeConnected('flush');
  }

  async close(): Promise<void> {
    this.state = 'closed';
    for (const remove of this.removals) remove();
    this.removals.clear();
    this.listeners.clear();
  }

  /** Simulates a lost connection: subscriptions stay, but no message passes until `restore`. */
  lose(): void {
    if (this.state !== 'connected') return;
    this.state = 'lost';
    for (const listener of [...this.listeners]) listener('lost');
  }

  restore(): void {
    if (this.state !== 'lost') return;
    this.state = 'connected';
    for (const listener of [...this.listeners]) listener('found');
  }

  private mustBeConnected(what: string): void {
    if (this.state !== 'connected') throw new Unavailable(`cannot ${what}: the bus is ${this.state}`);
  }
}
