import type { Bus, Subscription } from '../bus/bus.js';
import type { Clock, Timer } from '../clock.js';
import type { Announcement } from '../core/member.js';
import { ANNOUNCE_INTERVAL_MS } from '../limits.js';
import { encode } from '../wire/msgpack.js';
import { publishBestEffort } from './best-effort.js';
import type { LinkedCoordinators } from './linked-coordinators.js';
import type { FleetSubjects } from './subjects.js';

/** Changes of load are gathered for so long before they are told. */
const GATHER_MS = 10;

/** Tells the fleet what this worker is, regularly, at each change, and whenever somebody new asks. */
export class Announcer {
  private ticking: Timer | null = null;
  private asked: Subscription | null = null;
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
    this.asked = this.bus.subscribe(this.subjects.hello, () => this.announce());
    this.announce();
  }

  /** Load has changed: says so shortly, together with what else changes until then. */
  soon(): void {
    if (this.gone) return;
    this.due ??= this.clock.after(GATHER_MS, () => this.announce());
  }

  announce(): void {
    this.due?.cancel();
    this.due = null;
    if (this.gone) return;
    const announcement = this.describe();
    if (!publishBestEffort(this.bus, this.subjects.announce, encode(announcement)))
      this.linked.tell('announced', announcement);
  }

  /** Stops, and says goodbye. Nothing is announced after it. */
  leave(): void {
    this.gone = true;
    this.ticking?.cancel();
    this.due?.cancel();
    this.asked?.unsubscribe();
    const { id, incarnation } = this.describe();
    if (!publishBestEffort(this.bus, this.subjects.leave, encode({ id, incarnation })))
      this.linked.tell('left', { id, incarnation });
  }
}
