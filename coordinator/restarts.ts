import { Condition } from '../src/async/condition.js';
import type { Clock } from '../src/clock.js';
import type { MembershipEffect } from '../src/core/membership-events.js';
import { Unavailable } from '../src/errors.js';
import type { Roster } from '../src/fleet/roster.js';
import { ANNOUNCE_INTERVAL_MS } from '../src/limits.js';
import { instanceOf } from './poison/trial.js';

/** Restarts of workers: lets requests wait while no worker serves, but one is likely to come back. */

/** Time in which a new process hears all workers: two announcement intervals and a margin. */
export const LISTEN_FOR_MEMBERS_MS = 2 * ANNOUNCE_INTERVAL_MS + 200;
/** How long a request waits for a worker before it fails. */
export const RESTART_WAIT_MS = 15_000;
/** How long a dead worker is expected back: a restart takes seconds, loading a large model longer. @internal exported for tests. */
export const RESTART_EXPECTED_MS = 60_000;
/** Limit on the requests that wait: as many as one worker queues by default, so that it can take all. @internal exported for tests. */
export const WAITING_REQUESTS = 512;
/** An announcement may have been in transit when its worker died. One that arrives later than this after the loss shows that the worker is alive. */
const ANNOUNCED_BEFORE_MS = ANNOUNCE_INTERVAL_MS;
/** Interval at which a waiting request looks again, even if membership did not change. */
const POLL_MS = 500;

export class Restarts {
  private readonly changed: Condition;
  /** The workers that have died and not come back, with the time of their death. */
  private readonly deaths = new Map<string, number>();
  /** The time of the last announcement of each living incarnation. */
  private readonly heardMs = new Map<string, number>();
  /** The time of return of each live incarnation that was declared dead. */
  private readonly backMs = new Map<string, number>();
  private readonly startedMs: number;

  constructor(
    private readonly roster: Roster,
    private readonly clock: Clock,
  ) {
    this.changed = new Condition(clock);
    this.startedMs = clock.now();
    roster.listen((effect) => this.follow(effect));
    roster.onAnnounced(({ id, incarnation }) => this.heardMs.set(instanceOf(id, incarnation), clock.now()));
  }

  /**
   * Whether a worker is likely to serve soon: one starts, or has died recently and may be restarted. A process that has just started has not
   * heard all workers yet. A worker that drains or has left is not expected back.
   */
  get expected(): boolean {
    const nowMs = this.clock.now();
    if (nowMs - this.startedMs < LISTEN_FOR_MEMBERS_MS) return true;
    for (const diedMs of this.deaths.values()) if (nowMs - diedMs < RESTART_EXPECTED_MS) return true;
    return this.roster.members().some(({ state }) => state === 'starting' || state === 'suspect');
  }

  /**
   * Whether a living member has not been heard since it was lost at `lostMs`. It probably died, which membership finds out later, and may be
   * restarted then.
   */
  isSilent(instance: string, lostMs: number): boolean {
    return this.heardMs.has(instance) && !this.isHeard(instance, lostMs);
  }

  /** Whether an incarnation that was lost at `lostMs` has been heard since. */
  isHeard(instance: string, lostMs: number): boolean {
    return (this.heardMs.get(instance) ?? Number.NEGATIVE_INFINITY) > lostMs + ANNOUNCED_BEFORE_MS;
  }

  /** Whether an incarnation that was lost at `lostMs`, because it was declared dead, has come back: it was paused, or cut off. */
  isBack(instance: string, lostMs: number): boolean {
    const backMs = this.backMs.get(instance);
    return backMs !== undefined && backMs >= lostMs;
  }

  /**
   * Call it before a request that no worker has begun waits. Requests that have begun all wait: the coordinator's limit on requests bounds them.
   * @throws Unavailable if too many requests wait
   */
  admit(): void {
    if (this.changed.waiters < WAITING_REQUESTS) return;
    throw new Unavailable(
      `no worker is serving, and ${WAITING_REQUESTS} requests wait for one already; retry when /health/ready returns 200`,
    );
  }

  /**
   * Resolves with true when a worker may have come back, and with false if `untilMs` has passed.
   * @throws Cancelled when `signal` aborts
   */
  async wait(untilMs: number, signal: AbortSignal): Promise<boolean> {
    const leftMs = untilMs - this.clock.now();
    if (leftMs <= 0) return false;
    await this.changed.wait(Math.min(leftMs, POLL_MS), signal);
    return true;
  }

  private follow(effect: MembershipEffect): void {
    if (effect.type === 'dead' || effect.type === 'left') {
      this.heardMs.delete(instanceOf(effect.id, effect.incarnation));
      this.backMs.delete(instanceOf(effect.id, effect.incarnation));
    }
    if (effect.type === 'dead') this.died(effect.id);
    if (effect.type === 'joined' && this.deaths.has(effect.id))
      this.backMs.set(instanceOf(effect.id, effect.incarnation), this.clock.now());
    if (effect.type === 'joined' || effect.type === 'left') this.deaths.delete(effect.id);
    if (effect.type === 'changed') this.changed.notifyAll();
  }

  private died(id: string): void {
    const nowMs = this.clock.now();
    for (const [other, diedMs] of this.deaths) if (nowMs - diedMs >= RESTART_EXPECTED_MS) this.deaths.delete(other);
    this.deaths.set(id, nowMs);
  }
}
