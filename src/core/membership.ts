import { ANNOUNCE_INTERVAL_MS, BUS_GRACE_MS, FLEET_WORKERS, PROBE_TIMEOUT_MS, SUSPECT_AFTER_MS } from '../limits.js';
import type { Announcement } from './member.js';
import type { MembershipEffect, MembershipEvent, Refusal } from './membership-events.js';
import { type Entry, isGone, type MembershipState, type Standing, viewOf, visible } from './membership-state.js';

/**
 * Membership: the members of the fleet as one process sees them.
 *
 * The protocol follows SWIM (Das, Gupta, Motivala 2002): a worker becomes suspect, then is probed directly, then is declared dead. A dead
 * worker stays dead until it joins again with a new incarnation.
 */

/** Time for a worker to refute a suspicion on the bus after its connection closed and no probe reached it. */
const REFUTE_WITHIN_MS = 800;
/** How long a dead member is remembered, so that its old incarnation stays refused. @internal exported for tests. */
export const FORGET_AFTER_MS = 600_000;
/** An announcement that arrives this soon after a connection closed may have been sent before, and refutes nothing. */
const IN_FLIGHT_MS = ANNOUNCE_INTERVAL_MS / 2;
/** A process that was not stepped for this time was suspended itself, and cannot judge the silence of others. */
const ASLEEP_MS = SUSPECT_AFTER_MS / 2;

/** Applies one event, and returns the new state with the effects. `nowMs` comes from one monotonic clock for all steps. */
export function step(
  state: MembershipState,
  event: MembershipEvent,
  nowMs: number,
): { state: MembershipState; effects: MembershipEffect[] } {
  const turn = new Turn(state, nowMs);
  turn.handle(event);
  return turn.end();
}

/** The work of one step. It copies the entries before the first write. */
class Turn {
  private readonly before: MembershipState;
  private readonly nowMs: number;
  private readonly effects: MembershipEffect[] = [];
  private entries: ReadonlyMap<string, Entry>;
  /** The step's own copy of the entries; null before the first write. */
  private copied: Map<string, Entry> | null = null;
  private refusals: ReadonlyMap<string, string>;
  private busLost: boolean;
  private judgeFromMs: number;
  private changed = false;

  constructor(before: MembershipState, nowMs: number) {
    this.before = before;
    this.nowMs = nowMs;
    this.entries = before.entries;
    this.refusals = before.refusals;
    this.busLost = before.busLost;
    const asleep = nowMs - before.steppedAtMs > ASLEEP_MS;
    this.judgeFromMs = asleep ? Math.max(nowMs, before.judgeFromMs) : before.judgeFromMs;
  }

  handle(event: MembershipEvent): void {
    switch (event.type) {
      case 'announced':
        this.announced(event.announcement);
        break;
      case 'leaving':
        this.leaving(event.id, event.incarnation);
        break;
      case 'linkClosed':
        this.linkClosed(event.id, event.incarnation);
        break;
      case 'probeAnswered':
        this.probeAnswered(event.id, event.incarnation);
        break;
      case 'probeFailed':
        this.probeFailed(event.id, event.incarnation);
        break;
      case 'busLost':
        this.onBusLost();
        break;
      case 'busFound':
        this.busLost = false;
        this.judgeFromMs = this.nowMs + BUS_GRACE_MS;
        break;
      case 'tick':
        for (const [id, entry] of this.entries) this.review(id, entry);
    }
  }

  end(): { state: MembershipState; effects: MembershipEffect[] } {
    const state: MembershipState = {
      ...this.before,
      entries: this.entries,
      refusals: this.refusals,
      busLost: this.busLost,
      steppedAtMs: this.nowMs,
      judgeFromMs: this.judgeFromMs,
    };
    if (this.changed) this.effects.push({ type: 'changed', view: viewOf(state) });
    return { state, effects: this.effects };
  }

  private announced(announcement: Announcement): void {
    const refusal = this.refusal(announcement);
    if (refusal !== null) {
      this.refuse(announcement, refusal.reason, refusal.message);
      return;
    }
    const { id, incarnation } = announcement;
    const known = this.entries.get(id);
    let standing: Standing = { kind: 'trusted' };
    if (known?.announcement.incarnation === incarnation) {
      const { standing: before } = known;
      if (before.kind === 'suspect' && before.cause === 'link' && this.nowMs - before.sinceMs < IN_FLIGHT_MS)
        standing = before;
      else if (before.kind === 'suspect') this.effects.push({ type: 'cleared', id, incarnation });
    } else {
      if (known !== undefined && !isGone(known)) {
        this.effects.push({ type: 'dead', id, incarnation: known.announcement.incarnation, cause: 'fenced' });
      }
      this.effects.push({ type: 'joined', id, incarnation });
    }
    this.put(id, { announcement, heardAtMs: this.nowMs, standing });
  }

  private refusal({ id, incarnation, fingerprint }: Announcement): { reason: Refusal; message: string } | null {
    const known = this.entries.get(id);
    if (fingerprint !== this.before.fingerprint) {
      const own = this.before.fingerprint;
      const message = `cannot accept worker ${id}: its fingerprint is ${fingerprint}, this fleet's is ${own}; run both with the same model and version`;
      return { reason: 'fingerprint', message };
    }
    const gone = known === undefined || isGone(known);
    const last = known?.announcement.incarnation;
    if (last !== undefined && (incarnation < last || (gone && incarnation === last))) {
      return {
        reason: 'stale',
        message: `cannot accept worker ${id}: its incarnation ${incarnation} has ended; restart the worker`,
      };
    }
    if (gone && this.alive() >= FLEET_WORKERS) {
      return {
        reason: 'full',
        message: `cannot accept worker ${id}: the fleet is full; it may have at most ${FLEET_WORKERS} workers`,
      };
    }
    return null;
  }

  private leaving(id: string, incarnation: string): void {
    const entry = this.current(id, incarnation);
    if (entry === undefined) return;
    this.effects.push({ type: 'left', id, incarnation });
    this.put(id, { ...entry, standing: { kind: 'left', sinceMs: this.nowMs } });
  }

  private linkClosed(id: string, incarnation = this.entries.get(id)?.announcement.incarnation): void {
    const entry = incarnation === undefined ? undefined : this.current(id, incarnation);
    if (entry === undefined || id === this.before.self) return;
    if (entry.standing.kind === 'trusted' || entry.standing.kind === 'vouched') this.suspect(id, entry, 'link');
  }

  private probeAnswered(id: string, incarnation: string): void {
    const entry = this.current(id, incarnation);
    if (entry === undefined || entry.standing.kind === 'trusted') return;
    if (entry.standing.kind === 'suspect') this.effects.push({ type: 'cleared', id, incarnation });
    this.put(id, { ...entry, standing: { kind: 'vouched', sinceMs: this.nowMs, probing: false } });
  }

  private probeFailed(id: string, incarnation: string): void {
    const entry = this.current(id, incarnation);
    if (entry === undefined) return;
    const { standing } = entry;
    if (standing.kind === 'vouched' && standing.probing) this.declareDead(id, entry, 'silence');
    if (standing.kind !== 'suspect') return;
    const failed: Entry = { ...entry, standing: { ...standing, probeFailed: true } };
    this.put(id, failed);
    this.review(id, failed);
  }

  /** Clears suspicions for silence, which may have been silence of the bus. */
  private onBusLost(): void {
    this.busLost = true;
    for (const [id, entry] of this.entries) {
      const { kind } = entry.standing;
      if (kind === 'vouched') this.put(id, { ...entry, standing: { kind: 'trusted' } });
      if (kind === 'suspect' && entry.standing.cause === 'silence') {
        this.effects.push({ type: 'cleared', id, incarnation: entry.announcement.incarnation });
        this.put(id, { ...entry, standing: { kind: 'trusted' } });
      }
    }
  }

  /** Applies the timeouts of an entry. */
  private review(id: string, entry: Entry): void {
    const { standing } = entry;
    if (standing.kind === 'dead' || standing.kind === 'left') {
      if (this.nowMs - standing.sinceMs > FORGET_AFTER_MS) this.forget(id);
      return;
    }
    if (this.busLost || id === this.before.self) return;
    const sinceMs = standing.kind === 'trusted' ? entry.heardAtMs : standing.sinceMs;
    const elapsedMs = this.nowMs - Math.max(sinceMs, this.judgeFromMs);
    switch (standing.kind) {
      case 'trusted':
        if (elapsedMs > SUSPECT_AFTER_MS) this.suspect(id, entry, 'silence');
        return;
      case 'vouched':
        if (standing.probing && elapsedMs > PROBE_TIMEOUT_MS) this.declareDead(id, entry, 'silence');
        if (!standing.probing && elapsedMs > SUSPECT_AFTER_MS) {
          this.probe(entry);
          this.put(id, { ...entry, standing: { kind: 'vouched', sinceMs: this.nowMs, probing: true } });
        }
        return;
      case 'suspect': {
        const unreached = standing.probeFailed || elapsedMs > PROBE_TIMEOUT_MS;
        if (unreached && (standing.cause === 'silence' || elapsedMs >= REFUTE_WITHIN_MS))
          this.declareDead(id, entry, standing.cause);
      }
    }
  }

  private suspect(id: string, entry: Entry, cause: 'link' | 'silence'): void {
    this.effects.push({ type: 'suspect', id, incarnation: entry.announcement.incarnation, cause });
    this.probe(entry);
    this.put(id, { ...entry, standing: { kind: 'suspect', cause, sinceMs: this.nowMs, probeFailed: false } });
  }

  private declareDead(id: string, entry: Entry, cause: 'link' | 'silence'): void {
    this.effects.push({ type: 'dead', id, incarnation: entry.announcement.incarnation, cause });
    this.put(id, { ...entry, standing: { kind: 'dead', sinceMs: this.nowMs } });
  }

  private probe({ announcement: { id, incarnation, address } }: Entry): void {
    this.effects.push({ type: 'probe', id, incarnation, address });
  }

  private refuse({ id, incarnation }: Announcement, reason: Refusal, message: string): void {
    const what = `${reason} ${incarnation}`;
    const first = this.refusals.get(id) !== what;
    if (first) {
      const kept = [...this.refusals].filter(([other]) => other !== id).slice(1 - FLEET_WORKERS);
      this.refusals = new Map([...kept, [id, what]]);
    }
    this.effects.push({ type: 'refused', id, incarnation, reason, message, first });
  }

  /** The entry of this incarnation, unless it is gone. */
  private current(id: string, incarnation: string): Entry | undefined {
    const entry = this.entries.get(id);
    return entry === undefined || isGone(entry) || entry.announcement.incarnation !== incarnation ? undefined : entry;
  }

  private alive(): number {
    let alive = 0;
    for (const entry of this.entries.values()) if (!isGone(entry)) alive++;
    return alive;
  }

  private put(id: string, entry: Entry): void {
    this.changed ||= visible(this.entries.get(id)) !== visible(entry);
    this.writable().set(id, entry);
    if (this.entries.size > 2 * FLEET_WORKERS) this.forgetOldest();
  }

  private forget(id: string): void {
    this.changed ||= visible(this.entries.get(id)) !== '';
    this.writable().delete(id);
  }

  private writable(): Map<string, Entry> {
    this.copied ??= new Map(this.entries);
    this.entries = this.copied;
    return this.copied;
  }

  private forgetOldest(): void {
    let oldest: { id: string; sinceMs: number } | undefined;
    for (const [id, { standing }] of this.entries) {
      if (standing.kind !== 'dead' && standing.kind !== 'left') continue;
      if (oldest === undefined || standing.sinceMs < oldest.sinceMs) oldest = { id, sinceMs: standing.sinceMs };
    }
    if (oldest !== undefined) this.forget(oldest.id);
  }
}
