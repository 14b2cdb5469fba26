import type { Bus, Subscription } from '../bus/bus.js';
import type { Clock, Timer } from '../clock.js';
import type { Announcement, Member, PeerAddress } from '../core/member.js';
import { step } from '../core/membership.js';
import type { MembershipEffect, MembershipEvent, MembershipView } from '../core/membership-events.js';
import { emptyMembership, type MembershipState, viewOf } from '../core/membership-state.js';
import { ANNOUNCE_INTERVAL_MS } from '../limits.js';
import { AnnouncementMessage, LeaveMessage } from '../protocol/announcement.js';
import { Ring } from '../ring/ring.js';
import { encode } from '../wire/msgpack.js';
import { readMessage } from '../wire/read-message.js';
import { publishBestEffort } from './best-effort.js';
import type { FleetSubjects } from './subjects.js';

/** Keeps member list and ring up to date: membership with the world around it. */

/** Asks a worker directly whether it lives. Rejects if it does not answer in time. */
type Probe = (target: { id: string; incarnation: string; address: PeerAddress }) => Promise<void>;

/**
 * What happens in the fleet, as this process sees it. `changed` says that the view is another one. `dead` with this worker's own id says that it
 * is over for others: `fenced` by a newer incarnation, or taken for dead in its `silence`.
 */
export type RosterListener = (effect: MembershipEffect) => void;

export interface RosterOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly subjects: FleetSubjects;
  readonly fingerprint: string;
  /** This worker's id; null for a coordinator. */
  readonly self: string | null;
  readonly probe: Probe;
}

/** Keeps the member list and the ring up to date: `src/core/membership` with the world around it. */
export class Roster {
  private state: MembershipState;
  private current: MembershipView;
  private currentRing: Ring;
  private readonly listeners: RosterListener[] = [];
  private readonly subscriptions: Subscription[] = [];
  private ticking: Timer | null = null;
  private unlisten: (() => void) | null = null;

  constructor(private readonly options: RosterOptions) {
    this.state = emptyMembership(options.self, options.fingerprint, options.clock.now());
    this.current = viewOf(this.state);
    this.currentRing = new Ring(this.current.ring);
  }

  /** Begins to listen, and asks everybody to announce itself. */
  start(): void {
    const { bus, clock, subjects } = this.options;
    this.subscriptions.push(
      bus.subscribe(subjects.announce, ({ payload }) => {
        const announcement = readMessage(AnnouncementMessage, payload);
        if (announcement) this.hear(announcement);
      }),
      bus.subscribe(subjects.leave, ({ payload }) => {
        const leave = readMessage(LeaveMessage, payload);
        if (leave) this.hearLeave(leave.id, leave.incarnation);
      }),
      bus.subscribe(subjects.stale, ({ payload }) => this.hearStale(readMessage(LeaveMessage, payload))),
    );
    this.unlisten = bus.onStatus((status) => this.take({ type: status === 'lost' ? 'busLost' : 'busFound' }));
    this.ticking = clock.every(ANNOUNCE_INTERVAL_MS / 2, () => this.take({ type: 'tick' }));
    publishBestEffort(bus, subjects.hello, new Uint8Array());
  }

  stop(): void {
    this.ticking?.cancel();
    this.unlisten?.();
    for (const subscription of this.subscriptions) subscription.unsubscribe();
  }

  listen(listener: RosterListener): void {
    this.listeners.push(listener);
  }

  /** Takes an announcement in. A worker gives its own here, so that its view of itself does not wait for the bus. */
  hear(announcement: Announcement): void {
    this.take({ type: 'announced', announcement });
  }

  /** Takes in that a worker said goodbye. */
  hearLeave(id: string, incarnation: string): void {
    this.take({ type: 'leaving', id, incarnation });
  }

  /** An established connection to a worker closed. */
  linkClosed(id: string, incarnation: string): void {
    this.take({ type: 'linkClosed', id, incarnation });
  }

  /** Everybody, with load as of the last announcements. */
  members(): readonly Member[] {
    return viewOf(this.state).members;
  }

  /** The member, if it has not died or left. */
  alive(id: string): Announcement | null {
    const entry = this.state.entries.get(id);
    return entry && entry.standing.kind !== 'dead' && entry.standing.kind !== 'left' ? entry.announcement : null;
  }

  /** Where an incarnation of a worker listens; null if it is not a living member. */
  addressOf(id: string, incarnation: string): PeerAddress | null {
    const member = this.alive(id);
    return member?.incarnation === incarnation ? member.address : null;
  }

  get ring(): Ring {
    return this.currentRing;
  }

  get epoch(): string {
    return this.current.epoch;
  }

  private take(event: MembershipEvent): void {
    const { state, effects } = step(this.state, event, this.options.clock.now());
    this.state = state;
    for (const effect of effects) {
      if (effect.type === 'changed') this.viewChanged(effect.view);
      if (effect.type === 'probe') this.probe(effect);
      if (effect.type === 'refused' && effect.reason === 'stale') this.tellStale(effect);
      for (const listener of this.listeners) listener(effect);
    }
  }

  /** A worker that slept, or was cut off, does not know that it was taken for dead: it would be refused for as long as that is remembered. */
  private tellStale({ id, incarnation }: { id: string; incarnation: string }): void {
    const { bus, subjects, self } = this.options;
    if (id !== self) publishBestEffort(bus, subjects.stale, encode({ id, incarnation }));
  }

  private hearStale(stale: { id: string; incarnation: string } | null): void {
    if (stale === null || stale.id !== this.options.self) return;
    if (this.alive(stale.id)?.incarnation !== stale.incarnation) return;
    for (const listener of this.listeners) listener({ type: 'dead', ...stale, cause: 'silence' });
  }

  private viewChanged(view: MembershipView): void {
    if (view.epoch !== this.current.epoch) this.currentRing = new Ring(view.ring);
    this.current = view;
  }

  private probe({ id, incarnation, address }: Extract<MembershipEffect, { type: 'probe' }>): void {
    this.options.probe({ id, incarnation, address }).then(
      () => this.take({ type: 'probeAnswered', id, incarnation }),
      () => this.take({ type: 'probeFailed', id, incarnation }),
    );
  }
}
