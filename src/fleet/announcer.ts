import type { Bus, Subscription } from '../bus/bus.js';
import type { Clock, Timer } from '../clock.js';
import type { Announcement } from '../core/member.js';
import { ANNOUNCE_INTERVAL_MS } from '../limits.js';
import { encode } from '../wire/msgpack.js';
import type { FleetSubjects } from './subjects.js';

/** Tells the fleet what this worker is, regularly, at each change, and whenever somebody new asks. */
export class Announcer {
  private ticking: Timer | null = null;
  private asked: Subscription | null = null;

  constructor(
    private readonly bus: Bus,
    private readonly clock: Clock,
    private readonly subjects: FleetSubjects,
    private readonly describe: () => Announcement,
  ) {}

  start(): void {
    this.ticking = this.clock.every(ANNOUNCE_INTERVAL_MS, () => this.announce());
    this.asked = this.bus.subscribe(this.subjects.hello, () => this.announce());
    this.announce();
  }

  announce(): void {
    if (this.bus.connected) this.bus.publish(this.subjects.announce, encode(this.describe()));
  }

  /** Stops, and says goodbye. */
  leave(): void {
    this.ticking?.cancel();
    this.asked?.unsubscribe();
    const { id, incarnation } = this.describe();
    if (this.bus.connected) this.bus.publish(this.subjects.leave, encode({ id, incarnation }));
  }
}
