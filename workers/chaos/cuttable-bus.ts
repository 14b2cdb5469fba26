import type { Bus, BusMessage, BusStatus, SubscribeOptions, Subscription } from '../../src/bus/bus.js';
import { Unavailable } from '../../src/errors.js';
import type { Cut } from './cut.js';

/** A bus that is lost while the worker is cut off: nothing goes out, and what comes in is dropped. The connection itself stays open. */
export class CuttableBus implements Bus {
  private readonly listeners = new Set<(status: BusStatus) => void>();
  /** The status that the listeners were told last. */
  private told: boolean;

  constructor(
    private readonly below: Bus,
    private readonly cut: Cut,
  ) {
    this.told = this.connected;
    below.onStatus(() => this.tell());
    cut.onChange(() => this.tell());
  }

  get maxPayloadBytes(): number {
    return this.below.maxPayloadBytes;
  }

  get connected(): boolean {
    return this.below.connected && !this.cut.active;
  }

  get shortcoming(): string | null {
    return this.below.shortcoming;
  }

  publish(subject: string, payload: Uint8Array, reply?: string): void {
    this.check('publish');
    this.below.publish(subject, payload, reply);
  }

  subscribe(pattern: string, handler: (message: BusMessage) => void, options?: SubscribeOptions): Subscription {
    const hear = (message: BusMessage) => {
      if (!this.cut.active) handler(message);
    };
    return this.below.subscribe(pattern, hear, options);
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async flush(): Promise<void> {
    this.check('flush');
    await this.below.flush();
    this.check('flush');
  }

  close(): Promise<void> {
    return this.below.close();
  }

  private check(what: string): void {
    if (this.cut.active) throw new Unavailable(`cannot ${what}: this worker is cut off for a while, by an order`);
  }

  private tell(): void {
    const { connected } = this;
    if (connected === this.told) return;
    this.told = connected;
    for (const listener of [...this.listeners]) listener(connected ? 'found' : 'lost');
  }
}
