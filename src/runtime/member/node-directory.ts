import type { CallOptions } from '../../actors/outgoing-call.js';
import type { Bus, Subscription } from '../../bus/bus.js';
import type { Clock, Timer } from '../../clock.js';
import type { RuntimeSubjects } from '../../fleet/subjects.js';
import { tryPublish } from '../../fleet/try-publish.js';
import { ANNOUNCE_INTERVAL_MS } from '../../limits.js';
import { encode } from '../../wire/msgpack.js';
import { readMessage } from '../../wire/read-message.js';
import {
  NODE_SILENCE_MS,
  type NodeEvidence,
  NodeList,
  type NodeListEffect,
  OUTAGE_GRACE_MS,
} from '../core/node-list.js';
import type { NodeView } from '../core/node-view.js';
import { NodeAnnouncement, NodeLeave } from '../messages.js';

/** The members of the runtime as this process hears them on the bus, and its own announcements. */

/** How long changes are gathered before one announcement of them all. */
const GATHER_MS = 5;
const TICK_MS = 200;

export interface NodeDirectoryOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly subjects: RuntimeSubjects;
  /** Makes this process's announcement; null: it only listens. */
  readonly describe: (() => NodeView) | null;
  /** Subject on which this process hears messages of its own at least as often as announcements. Default: it hears those that it announces itself by, if any. */
  readonly echo?: string;
  /** Default: none. */
  readonly evidence?: NodeEvidence;
}

export class NodeDirectory {
  private readonly list = new NodeList();
  private readonly endings: (() => void)[] = [];
  private readonly listeners = new Set<(effect: NodeListEffect) => void>();
  private readonly changeListeners = new Set<() => void>();
  private due: Timer | null = null;
  private over = false;
  private tickedMs: number;

  constructor(private readonly options: NodeDirectoryOptions) {
    this.tickedMs = options.clock.now();
  }

  /** All members, this process among them. */
  nodes(): NodeView[] {
    return this.list.nodes();
  }

  /** The members that nothing speaks against. */
  trusted(): NodeView[] {
    return this.list.nodes().filter(({ incarnation }) => !this.list.suspects(incarnation));
  }

  get(incarnation: string): NodeView | null {
    return this.list.get(incarnation);
  }

  /** Whether a member may have ended, and was not heard since. */
  suspects(incarnation: string): boolean {
    return this.list.suspects(incarnation);
  }

  /** Whether the bus carries a member's messages: not for one that is gone, nor for one of which only the link shows that it lives. */
  hears(incarnation: string): boolean {
    return this.list.hears(incarnation);
  }

  /** Whether nothing but its process shows that a member lives: its code may keep its event loop busy, and then it will be heard again. */
  isBusy(incarnation: string): boolean {
    return this.list.isBusy(incarnation);
  }

  /** When a member was last heard on the bus; null if it is none. */
  heardMs(incarnation: string): number | null {
    return this.list.heardMs(incarnation);
  }

  /** Calls back when a member joins, leaves or is gone. Returns the function that ends this. */
  listen(listener: (effect: NodeListEffect) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Calls back at each announcement, and when a suspect member proves to be alive. Returns a function that unsubscribes. */
  onAnnounced(listener: () => void): () => void {
    this.changeListeners.add(listener);
    return () => this.changeListeners.delete(listener);
  }

  start(): void {
    const { bus, clock, subjects, describe, echo } = this.options;
    const subscriptions: Subscription[] = [
      bus.subscribe(subjects.announce, ({ payload }) => this.onAnnouncement(readMessage(NodeAnnouncement, payload))),
      bus.subscribe(subjects.leave, ({ payload }) => {
        const leave = readMessage(NodeLeave, payload);
        if (leave) this.emit(this.list.left(leave.incarnation));
      }),
      // A process that only listens has no announcement to send.
      ...(describe === null ? [] : [bus.subscribe(subjects.hello, () => this.soon())]),
      ...(echo === undefined ? [] : [bus.subscribe(echo, () => this.list.echoed(clock.now()))]),
    ];
    const announcing = clock.every(ANNOUNCE_INTERVAL_MS, () => this.announce());
    const ticking = clock.every(TICK_MS, () => this.tick());
    const unlisten = bus.onStatus(() => this.list.deafUntil(clock.now() + OUTAGE_GRACE_MS));
    this.endings.push(
      () => announcing.cancel(),
      () => ticking.cancel(),
      unlisten,
      ...subscriptions.map((subscription) => () => subscription.unsubscribe()),
    );
    this.announce();
    tryPublish(bus, subjects.hello, new Uint8Array());
  }

  /** Announces this process within `GATHER_MS`, so that many changes share one announcement. */
  soon(): void {
    if (this.over) return;
    this.due ??= this.options.clock.after(GATHER_MS, () => this.announce());
  }

  /** A direct link to the member closed, or a call to it was lost: it may have ended. */
  suspect(incarnation: string): void {
    this.emit(this.list.suspect(incarnation));
  }

  /** Nobody listens at the addresses of a member. */
  unreachable(incarnation: string): void {
    this.list.unreachable(incarnation);
  }

  /** A direct link to the member opened, so it is alive. */
  trust(incarnation: string): void {
    this.list.trust(incarnation);
    this.changed();
  }

  /** Resolves at the next announcement of any member, when a member goes, after `timeMs` at the latest, or when the signal aborts. */
  news(timeMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        for (const end of endings) end();
        resolve();
      };
      const timer = this.options.clock.after(timeMs, done);
      signal?.addEventListener('abort', done, { once: true });
      const endings = [
        () => timer.cancel(),
        () => signal?.removeEventListener('abort', done),
        this.onAnnounced(done),
        this.listen(done),
      ];
    });
  }

  /** Resolves when a suspected member was heard again or is gone, after the time in which it would be gone, or when the caller's time is over. */
  async judged(incarnation: string, { signal, timeoutMs = NODE_SILENCE_MS }: CallOptions): Promise<void> {
    const { clock } = this.options;
    const untilMs = clock.now() + Math.min(timeoutMs, NODE_SILENCE_MS);
    while (this.suspects(incarnation) && clock.now() < untilMs && !signal?.aborted)
      await this.news(untilMs - clock.now(), signal);
  }

  /** Publishes that this process leaves, and ends everything. */
  stop(): void {
    if (this.over) return;
    this.over = true;
    this.due?.cancel();
    const { bus, subjects, describe } = this.options;
    if (describe) tryPublish(bus, subjects.leave, encode({ incarnation: describe().incarnation }));
    for (const end of this.endings.splice(0)) end();
  }

  private announce(): void {
    this.due?.cancel();
    this.due = null;
    const { bus, subjects, describe } = this.options;
    if (this.over || !describe) return;
    const own = describe();
    this.hear(own);
    tryPublish(bus, subjects.announce, encode(own));
  }

  private onAnnouncement(view: NodeView | null): void {
    if (view === null) return;
    if (view.incarnation === this.options.describe?.().incarnation) this.list.echoed(this.options.clock.now());
    else this.hear(view);
  }

  private hear(view: NodeView): void {
    this.emit(this.list.heard(view, this.options.clock.now()));
    this.changed();
  }

  private changed(): void {
    for (const listener of [...this.changeListeners]) listener();
  }

  private tick(): void {
    const { bus, clock, evidence } = this.options;
    const nowMs = clock.now();
    // A late tick means that this process stood still, and has not read the others' announcements yet.
    const lateMs = nowMs - this.tickedMs - TICK_MS;
    if (lateMs >= TICK_MS) this.list.stoodStill(lateMs, nowMs);
    this.tickedMs = nowMs;
    if (!bus.connected) this.list.deafUntil(nowMs + OUTAGE_GRACE_MS);
    else this.emit(this.list.tick(nowMs, evidence));
  }

  private emit(effects: readonly NodeListEffect[]): void {
    for (const effect of effects) for (const listener of [...this.listeners]) listener(effect);
  }
}
