import type { Bus, Subscription } from '../bus/bus.js';
import type { Clock, Timer } from '../clock.js';
import type { Announcement } from '../core/member.js';
import { ANNOUNCE_INTERVAL_MS } from '../limits.js';
import { encode } from '../wire/msgpack.js';
import type { LinkedCoordinators } from './linked-coordinators.js';
import type { FleetSubjects } from './subjects.js';
import { tryPublish } from './try-publish.js';

/** A worker's announcements of itself. */

/** How long changes of load are gathered before one announcement of them all. */
const GATHER_MS = 10;
/** Limit on the announcements per second that answer a `hello` at once. Beyond it, answers are gathered for `GATHER_MS`. */
const HELLOS_PER_S = 20;

/** Announces this worker to the fleet: regularly, after each change, and when a new process says `hello`. */
export class Announcer {
  private ticking: Timer | null = null;
  private hello: Subscription | null = null;
  private helloSinceMs = Number.NEGATIVE_INFINITY;
  private hellos = 0;
  private due: Timer | null = null;
  private gone = false;

  constructor(
    private readonly bus: Bus,
    private readonly clock: Clock,
    private readonly subjects: FleetSubjects,
    private readonly describe: () => Announcement,
    private readonly linked: Pick<LinkedCoordinators, 'tell'>,
  ) {}

  start(): void {
    this.ticking = this.clock.every(ANNOUNCE_INTERVAL_MS, () => this.announce());
    this.hello = this.bus.subscribe(this.subjects.hello, () => this.onHello());
    this.announce();
  }

  /** Schedules an announcement within `GATHER_MS`, so that many changes of load share one. */
  soon(): void {
    if (this.gone) return;
    this.due ??= this.clock.after(GATHER_MS, () => this.announce());
  }

  /** Announces the worker now: on the bus, and directly to coordinators that may not hear the bus. */
  announce(): void {
    this.due?.cancel();
    this.due = null;
    if (this.gone) return;
    const announcement = this.describe();
    this.linked.tell('announced', announcement, tryPublish(this.bus, this.subjects.announce, encode(announcement)));
  }

  /** Answers a new process at once, and many of them together. */
  private onHello(): void {
    const nowMs = this.clock.now();
    if (nowMs - this.helloSinceMs >= 1_000) {
      this.helloSinceMs = nowMs;
      this.hellos = 0;
    }
    if (++this.hellos <= HELLOS_PER_S) this.announce();
    else this.soon();
  }

  /** Publishes that this worker leaves, and ends all announcements. */
  leave(): void {
    this.gone = true;
    this.ticking?.cancel();
    this.due?.cancel();
    this.hello?.unsubscribe();
    const { id, incarnation } = this.describe();
    const leave = { id, incarnation };
    this.linked.tell('left', leave, tryPublish(this.bus, this.subjects.leave, encode(leave)));
  }
}
