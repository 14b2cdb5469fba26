import { Gathering } from '../async/gathering.js';
import { Pacing } from '../async/pacing.js';
import type { Bus, Subscription } from '../bus/bus.js';
import type { Clock, Timer } from '../clock.js';
import { canJudge } from '../core/hearing.js';
import type { Maker } from '../core/maker.js';
import type { Announcement, Member, PeerAddress } from '../core/member.js';
import { stepAll } from '../core/membership.js';
import type { MembershipEffect, MembershipEvent, MembershipView } from '../core/membership-events.js';
import { emptyMembership, type MembershipState, membersOf, viewOf } from '../core/membership-state.js';
import { firstRank } from '../core/own-rank.js';
import { type ProcessRank, type Rank, rankOf } from '../core/rank.js';
import { InternalError } from '../errors.js';
import { ANNOUNCE_INTERVAL_MS, FLEET_WORKERS } from '../limits.js';
import { AnnouncementMessage, LeaveMessage, RefusalMessage } from '../protocol/announcement.js';
import { Ring } from '../ring/ring.js';
import { encode } from '../wire/msgpack.js';
import { readMessage } from '../wire/read-message.js';
import type { FleetSubjects } from './subjects.js';
import { tryPublish } from './try-publish.js';

/** The member list and the ring of one process, kept up to date. */

/** Pings a worker directly. Rejects if the worker does not answer in time. */
type Probe = (target: ProcessRank & { id: string; address: PeerAddress }) => Promise<void>;

/** The most workers that join within `JOIN_BATCH_MS`; those beyond wait, and then join together. As many wait as a fleet may have. */
const JOIN_BATCH_WORKERS = 32;
const JOIN_BATCH_MS = 20;
/**
 * The losses and the answers to probes that count at once within `LOSS_BATCH_MS`. Those beyond count together: a thousand workers are lost at one
 * moment if a network is, and each change of the view costs as much as the fleet is large.
 */
const LOSS_BATCH_EVENTS = 4;
const LOSS_BATCH_MS = 20;

/** The probes that begin within `PROBE_PACE_MS`; those beyond begin later. Each dials, and a thousand workers may fall silent at one moment. */
const PROBES_AT_ONCE = 32;
const PROBE_PACE_MS = 5;

/** An event that concerns one worker. Many may come at once. */
type Loss = Extract<MembershipEvent, { type: 'leaving' | 'linkClosed' | 'probeAnswered' | 'probeFailed' }>;

/** Receives the effects of membership. After `changed`, the roster shows the new view. */
export type RosterListener = (effect: MembershipEffect) => void;

export interface RosterOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly subjects: FleetSubjects;
  readonly fingerprint: string;
  /** This process. The generation of a coordinator, which is not a member, is null. */
  readonly self: { readonly id: string; readonly incarnation: string; readonly generation: number | null };
  readonly probe: Probe;
}

/** Runs the state machine of `src/core/membership` on bus, clock and probes. */
export class Roster {
  private state: MembershipState;
  private current: MembershipView;
  /** The ring of the view at which it was asked for last. */
  private lastRing: Ring;
  private readonly listeners: RosterListener[] = [];
  private readonly hearers: ((announcement: Announcement) => void)[] = [];
  private readonly subscriptions: Subscription[] = [];
  private ticking: Timer | null = null;
  /** Announcements of workers that wait to join, by ID and incarnation. */
  private readonly joining = new Map<string, Announcement>();
  /** Runs from a join for `JOIN_BATCH_MS`, and while workers wait. */
  private admitting: Timer | null = null;
  /** The workers that have joined since it runs. */
  private admitted = 0;
  /** The members of a state. */
  private listed: { readonly state: MembershipState; readonly members: readonly Member[] } | null = null;
  private readonly losses: Gathering<Loss>;
  private readonly probes: Pacing<Extract<MembershipEffect, { type: 'probe' }>>;
  private unlisten: (() => void) | null = null;
  private readonly echo: string;

  constructor(private readonly options: RosterOptions) {
    const { self, fingerprint, clock } = options;
    const { id, incarnation, generation } = self;
    const rank = generation === null ? null : firstRank(id, { generation, incarnation }, clock.now());
    this.state = emptyMembership(rank, fingerprint, clock.now());
    this.echo = options.subjects.echo(id, incarnation);
    this.current = viewOf(this.state);
    this.lastRing = new Ring(this.current.ring);
    this.probes = new Pacing(clock, PROBES_AT_ONCE, PROBE_PACE_MS, (target) => this.probe(target));
    this.losses = new Gathering(clock, LOSS_BATCH_EVENTS, LOSS_BATCH_MS, (losses) => this.apply(...losses));
  }

  /** Subscribes to announcements, and asks all workers to announce themselves. */
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
      bus.subscribe(subjects.refusal, ({ payload }) => {
        const refusal = readMessage(RefusalMessage, payload);
        if (refusal) this.onRefusal(refusal);
      }),
      bus.subscribe(this.echo, () => this.apply({ type: 'echoed' })),
    );
    this.unlisten = bus.onStatus((status) => this.apply({ type: status === 'lost' ? 'busLost' : 'busFound' }));
    this.ticking = clock.every(ANNOUNCE_INTERVAL_MS / 2, () => {
      this.apply({ type: 'tick' });
      tryPublish(bus, this.echo, new Uint8Array());
    });
    tryPublish(bus, subjects.hello, new Uint8Array());
  }

  stop(): void {
    this.ticking?.cancel();
    this.admitting?.cancel();
    this.losses.stop();
    this.probes.stop();
    this.unlisten?.();
    for (const subscription of this.subscriptions) subscription.unsubscribe();
  }

  listen(listener: RosterListener): void {
    this.listeners.push(listener);
  }

  /** Calls `hearer` with each announcement that is accepted, after it is applied. */
  onAnnounced(hearer: (announcement: Announcement) => void): void {
    this.hearers.push(hearer);
  }

  /**
   * Applies an announcement, at once unless it is one of many new workers: the cost of a join grows with the fleet, so many together must not cost
   * as much as many one after another. A worker passes its own here directly, so that its own roster does not wait for the bus.
   */
  hear(announcement: Announcement): void {
    const { id, incarnation } = announcement;
    const joins = this.alive(id)?.incarnation !== incarnation && id !== this.options.self.id;
    if (joins && this.admitted >= JOIN_BATCH_WORKERS) {
      if (this.joining.size < FLEET_WORKERS) this.joining.set(joiningKey(id, incarnation), announcement);
      return;
    }
    if (joins) this.countJoins(1);
    this.applyAnnounced([announcement]);
  }

  /** Applies a worker's message that it leaves. */
  hearLeave(id: string, incarnation: string): void {
    this.joining.delete(joiningKey(id, incarnation));
    this.losses.add({ type: 'leaving', id, incarnation });
  }

  /** This incarnation of a worker is no longer a member, until it is pardoned. */
  quarantine(maker: Maker): void {
    this.apply({ type: 'quarantined', maker });
  }

  pardon(maker: Maker): void {
    this.apply({ type: 'pardoned', maker });
  }

  /** To be called when an established connection to a worker closes. */
  linkClosed(id: string, incarnation: string): void {
    this.losses.add({ type: 'linkClosed', id, incarnation });
  }

  /** All members, including the dead, with the load of their last announcements. */
  members(): readonly Member[] {
    if (this.listed?.state !== this.state) this.listed = { state: this.state, members: membersOf(this.state) };
    return this.listed.members;
  }

  /** The last announcement of a member; null if it is unknown, dead or has left. */
  alive(id: string): Announcement | null {
    const entry = this.state.entries.get(id);
    return entry && entry.standing.kind !== 'dead' && entry.standing.kind !== 'left' ? entry.announcement : null;
  }

  /** Whether this incarnation of a worker is a living member. */
  has(id: string, incarnation: string): boolean {
    return this.alive(id)?.incarnation === incarnation;
  }

  /** Whether this incarnation of a worker is a member, living or dead. It costs nothing, unlike a look through `members`. */
  knows(id: string, incarnation: string): boolean {
    const entry = this.state.entries.get(id);
    return entry !== undefined && entry.standing.kind !== 'left' && entry.announcement.incarnation === incarnation;
  }

  /** Whether a worker of this id is known, living, dead or one that has left. */
  isWorker(id: string): boolean {
    return this.state.entries.get(id) !== undefined;
  }

  /** When an incarnation of a living member was last heard, by the clock; null for others. */
  heardMs(id: string, incarnation: string): number | null {
    return this.has(id, incarnation) ? this.state.entries.get(id)!.heardAtMs : null;
  }

  /** Where an incarnation of a worker listens; null if it is not a living member. */
  addressOf(id: string, incarnation: string): PeerAddress | null {
    const member = this.alive(id);
    return member?.incarnation === incarnation ? member.address : null;
  }

  /** The rank under which this worker has to announce itself. @throws InternalError in a coordinator */
  get rank(): Rank {
    const { self } = this.state;
    if (self === null) throw new InternalError('a coordinator has no rank');
    return rankOf(self);
  }

  /** Whether this process believes that it hears the bus. */
  get hears(): boolean {
    return canJudge(this.state.hearing);
  }

  /** Whether this process hears the bus, and other processes have had time to find it too. */
  get hearsOthers(): boolean {
    return this.hears && this.options.clock.now() >= this.state.hearing.judgeFromMs;
  }

  /** The ring of the current view. It is computed when it is asked for, and after each batch of joins, from the ring before. */
  get ring(): Ring {
    if (this.lastRing.epoch !== this.current.epoch) this.lastRing = new Ring(this.current.ring, this.lastRing);
    return this.lastRing;
  }

  get epoch(): string {
    return this.current.epoch;
  }

  private countJoins(workers: number): void {
    this.admitted += workers;
    this.admitting ??= this.options.clock.after(JOIN_BATCH_MS, () => {
      this.admitting = null;
      this.admitted = 0;
      const next = [...this.joining].slice(0, JOIN_BATCH_WORKERS);
      for (const [key] of next) this.joining.delete(key);
      if (next.length === 0) return;
      this.countJoins(next.length);
      this.applyAnnounced(next.map(([, announcement]) => announcement));
      // The next caller must not pay for all batches at once.
      void this.ring;
    });
  }

  private applyAnnounced(announcements: readonly Announcement[]): void {
    this.apply(...announcements.map((announcement) => ({ type: 'announced', announcement }) as const));
    for (const announcement of announcements) {
      if (this.alive(announcement.id) !== announcement) continue;
      for (const hearer of this.hearers) hearer(announcement);
    }
  }

  private apply(...events: MembershipEvent[]): void {
    const { state, effects } = stepAll(this.state, events, this.options.clock.now());
    this.state = state;
    for (const effect of effects) {
      if (effect.type === 'changed') this.current = effect.view;
      if (effect.type === 'probe') this.probes.add(effect);
      if (effect.type === 'refused' && effect.latest !== null) this.publishRefusal(effect, effect.latest);
      for (const listener of this.listeners) listener(effect);
    }
  }

  /** Tells a worker that it is refused, so that it can refute that. A worker that was suspended or cut off does not know that it was declared dead. */
  private publishRefusal({ id, incarnation }: { id: string; incarnation: string }, latest: Rank): void {
    const { bus, subjects, self } = this.options;
    if (id === self.id && incarnation === self.incarnation) return;
    tryPublish(bus, subjects.refusal, encode({ id, incarnation, latest }));
  }

  private onRefusal({ id, incarnation, latest }: { id: string; incarnation: string; latest: Rank }): void {
    const { self } = this.options;
    if (id === self.id && incarnation === self.incarnation) this.apply({ type: 'refusedBy', latest });
  }

  private probe({ id, incarnation, generation, address }: Extract<MembershipEffect, { type: 'probe' }>): void {
    this.options.probe({ id, incarnation, generation, address }).then(
      () => this.losses.add({ type: 'probeAnswered', id, incarnation }),
      () => this.losses.add({ type: 'probeFailed', id, incarnation }),
    );
  }
}

function joiningKey(id: string, incarnation: string): string {
  return `${id}\n${incarnation}`;
}
