import type { Bus, Subscription } from '../src/bus/bus.js';
import type { Clock, Timer } from '../src/clock.js';
import type { FleetSubjects } from '../src/fleet/subjects.js';
import { tryPublish } from '../src/fleet/try-publish.js';
import { ANNOUNCE_INTERVAL_MS, FLEET_COORDINATORS, SUSPECT_AFTER_MS } from '../src/limits.js';
import { CoordinatorMessage } from '../src/protocol/announcement.js';
import { encode } from '../src/wire/msgpack.js';
import { readMessage } from '../src/wire/read-message.js';

/** Least time between two heartbeats. */
const HEARTBEAT_PAUSE_MS = 50;

/** The coordinators of the fleet, including this one. They run independently. */
export class Siblings {
  private readonly heard = new Map<string, { message: CoordinatorMessage; atMs: number }>();
  private ticking: Timer | null = null;
  private listening: Subscription[] = [];
  private announcedMs = Number.NEGATIVE_INFINITY;
  private readonly namesakeListeners: ((message: CoordinatorMessage) => void)[] = [];

  constructor(
    private readonly bus: Bus,
    private readonly clock: Clock,
    private readonly subjects: FleetSubjects,
    private readonly self: CoordinatorMessage,
  ) {}

  start(): void {
    this.listening = [
      this.bus.subscribe(this.subjects.coordinator, ({ payload }) => this.onHeartbeat(payload)),
      // A new process asks which processes there are.
      this.bus.subscribe(this.subjects.hello, () => this.announce()),
    ];
    this.ticking = this.clock.every(ANNOUNCE_INTERVAL_MS, () => this.announce());
    this.announce();
  }

  stop(): void {
    this.ticking?.cancel();
    for (const subscription of this.listening) subscription.unsubscribe();
  }

  /** Calls `listener` with each heartbeat of another coordinator that was given the same id. */
  onNamesake(listener: (message: CoordinatorMessage) => void): void {
    this.namesakeListeners.push(listener);
  }

  /** Coordinators heard from recently, in order of id. */
  list(): CoordinatorMessage[] {
    this.dropSilent();
    const others = [...this.heard.values()].map(({ message }) => message);
    return [this.self, ...others].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  private announce(): void {
    const nowMs = this.clock.now();
    if (nowMs - this.announcedMs < HEARTBEAT_PAUSE_MS) return;
    this.announcedMs = nowMs;
    tryPublish(this.bus, this.subjects.coordinator, encode(this.self));
  }

  /** Another coordinator may have been given the same id. */
  private isOwn({ id, pid, host }: CoordinatorMessage): boolean {
    return id === this.self.id && pid === this.self.pid && host === this.self.host;
  }

  private dropSilent(): void {
    const sinceMs = this.clock.now() - 2 * SUSPECT_AFTER_MS;
    for (const [id, { atMs }] of this.heard) if (atMs < sinceMs) this.heard.delete(id);
  }

  private onHeartbeat(payload: Uint8Array): void {
    const message = readMessage(CoordinatorMessage, payload);
    this.dropSilent();
    if (!message || this.isOwn(message)) return;
    if (message.id === this.self.id) for (const listener of this.namesakeListeners) listener(message);
    if (this.heard.size >= FLEET_COORDINATORS && !this.heard.has(message.id)) return;
    this.heard.set(message.id, { message, atMs: this.clock.now() });
  }
}
