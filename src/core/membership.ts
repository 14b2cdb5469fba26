import { FLEET_WORKERS, PROBE_TIMEOUT_MS, SUSPECT_AFTER_MS } from '../limits.js';
import { IN_FLIGHT_MS, isAlone, REFUTE_WITHIN_MS } from './alone.js';
import type { EntriesDraft, EntryList } from './entries.js';
import { atStep, canJudge, type Hearing, hearingAfter } from './hearing.js';
import { type Maker, makerName } from './maker.js';
import type { Announcement } from './member.js';
import type { MembershipEffect, MembershipEvent, Refusal } from './membership-events.js';
import { type Entry, isGone, looksAlike, type MembershipState, type Standing, viewOf } from './membership-state.js';
import { afterRefusal, isRival, type OwnRank } from './own-rank.js';
import { compareProcesses, compareRanks, type Rank, rankOf } from './rank.js';

/**
 * Membership: the members of the fleet as one process sees them.
 *
 * The protocol follows SWIM (Das, Gupta, Motivala 2002) and Lifeguard (Dadgar, Phillips, Currey 2017): a worker becomes suspect, then is probed
 * directly, then is declared dead. A process that hears neither itself nor others suspects itself instead, and declares no member dead. A
 * worker refutes its death by a higher rank, and only a later process of its ID ends it.
 */

/** How long a dead member is remembered, so that its old incarnation stays refused. @internal exported for tests. */
export const FORGET_AFTER_MS = 600_000;

/** Applies one event, and returns the new state with the effects. `nowMs` comes from one monotonic clock for all steps. @internal exported for tests. */
export function step(
  state: MembershipState,
  event: MembershipEvent,
  nowMs: number,
): { state: MembershipState; effects: MembershipEffect[] } {
  return stepAll(state, [event], nowMs);
}

/** Applies several events that came at the same time, as one step: the view changes at most once. */
export function stepAll(
  state: MembershipState,
  events: readonly MembershipEvent[],
  nowMs: number,
): { state: MembershipState; effects: MembershipEffect[] } {
  const turn = new Turn(state, nowMs);
  for (const event of events) turn.handle(event);
  return turn.end();
}

/** The work of one step. */
class Turn {
  private readonly before: MembershipState;
  private readonly nowMs: number;
  private readonly effects: MembershipEffect[] = [];
  /** The changed entries; null before the first change. */
  private draft: EntriesDraft<Entry> | null = null;
  private refusals: ReadonlyMap<string, string>;
  private self: OwnRank | null;
  private hearing: Hearing;
  private quarantined: ReadonlySet<string>;
  /** Whether none of several other workers is heard any more; null before the first use in this step. */
  private alone: boolean | null = null;
  private changed = false;

  constructor(before: MembershipState, nowMs: number) {
    this.before = before;
    this.nowMs = nowMs;
    this.refusals = before.refusals;
    this.self = before.self;
    this.quarantined = before.quarantined;
    this.hearing = atStep(before.hearing, nowMs);
  }

  private get entries(): EntryList<Entry> {
    return this.draft ?? this.before.entries;
  }

  handle(event: MembershipEvent): void {
    this.hearing = hearingAfter(this.hearing, event, this.nowMs);
    if (canJudge(this.before.hearing) && !canJudge(this.hearing)) this.trustTheSilent();
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
      case 'refusedBy':
        this.refusedBy(event.latest);
        break;
      case 'quarantined':
        this.quarantine(event.maker);
        break;
      case 'pardoned':
        this.quarantined = new Set([...this.quarantined].filter((name) => name !== makerName(event.maker)));
        break;
      case 'echoed':
      case 'busLost':
      case 'busFound':
        break;
      case 'tick':
        for (const [id, entry] of [...this.entries]) this.review(id, entry);
    }
  }

  end(): { state: MembershipState; effects: MembershipEffect[] } {
    const state: MembershipState = {
      fingerprint: this.before.fingerprint,
      entries: this.draft?.done() ?? this.before.entries,
      refusals: this.refusals,
      self: this.self,
      hearing: this.hearing,
      quarantined: this.quarantined,
    };
    const { deaf } = this.hearing;
    if (deaf !== this.before.hearing.deaf) this.effects.push({ type: 'hearing', hears: !deaf });
    if (this.changed) this.effects.push({ type: 'changed', view: viewOf(state) });
    return { state, effects: this.effects };
  }

  private announced(announcement: Announcement): void {
    const refusal = this.refusal(announcement);
    if (refusal !== null) {
      this.refuse(announcement, refusal);
      return;
    }
    const { id, incarnation } = announcement;
    const known = this.entries.get(id);
    const same = known?.announcement.incarnation === incarnation;
    // Announcements can overtake each other.
    if (same && compareRanks(announcement, known.announcement) < 0) return;
    let standing: Standing = { kind: 'trusted' };
    if (same && !isGone(known)) {
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

  private refusal(said: Announcement): { reason: Refusal; message: string; latest: Rank | null } | null {
    const { id, incarnation, fingerprint } = said;
    const cannot = `cannot accept worker ${id}:`;
    if (fingerprint !== this.before.fingerprint) {
      const own = this.before.fingerprint;
      const message = `${cannot} its fingerprint is ${fingerprint}, this fleet's is ${own}; run both with the same model and version`;
      return { reason: 'fingerprint', message, latest: null };
    }
    if (this.quarantined.has(makerName(said))) {
      const message = `${cannot} its incarnation ${incarnation} made wrong blocks; restart it, or pardon it`;
      return { reason: 'quarantined', message, latest: null };
    }
    const known = this.entries.get(id);
    const gone = known === undefined || isGone(known);
    const latest = this.latestRank(said);
    if (latest !== undefined && compareProcesses(said, latest) < 0) {
      const message = `${cannot} its incarnation ${incarnation} has ended: incarnation ${latest.incarnation} is later`;
      return { reason: 'stale', message, latest: rankOf(latest) };
    }
    if (gone && latest?.incarnation === incarnation && compareRanks(said, latest) <= 0) {
      const message = `${cannot} its incarnation ${incarnation} is dead or has left, and has not refuted that yet`;
      return { reason: 'stale', message, latest: rankOf(latest) };
    }
    if (gone && this.alive() >= FLEET_WORKERS) {
      const message = `${cannot} the fleet is full; it may have at most ${FLEET_WORKERS} workers`;
      return { reason: 'full', message, latest: null };
    }
    return null;
  }

  /** The latest process of an ID that is known: the last one heard, or this one. */
  private latestRank(said: Announcement): Rank | undefined {
    const heard = this.entries.get(said.id)?.announcement;
    if (!isRival(this.self, said)) return heard;
    return heard !== undefined && compareRanks(heard, this.self) > 0 ? heard : this.self;
  }

  private refusedBy(latest: Rank): void {
    const own = this.self;
    // A worker that was fenced off raises its rank no more.
    const known = own && this.entries.get(own.id)?.announcement;
    if (own === null || (known && isRival(own, known))) return;
    const risen = afterRefusal(own, latest, this.nowMs);
    this.self = risen;
    if (compareRanks(own, risen) !== 0) this.effects.push({ type: 'raised', id: risen.id, ...rankOf(risen) });
  }

  /** A worker leaves its own view of itself alone: the others decide. */
  private quarantine(maker: Maker): void {
    const { id, incarnation } = maker;
    if (id === this.self?.id) return;
    this.quarantined = new Set([...this.quarantined, makerName(maker)].slice(-FLEET_WORKERS));
    const entry = this.current(id, incarnation);
    if (entry === undefined) return;
    this.effects.push({ type: 'dead', id, incarnation, cause: 'quarantined' });
    this.put(id, { ...entry, standing: { kind: 'dead', sinceMs: this.nowMs } });
  }

  private leaving(id: string, incarnation: string): void {
    const entry = this.current(id, incarnation);
    if (entry === undefined || id === this.self?.id) return;
    this.effects.push({ type: 'left', id, incarnation });
    this.put(id, { ...entry, standing: { kind: 'left', sinceMs: this.nowMs } });
  }

  private linkClosed(id: string, incarnation = this.entries.get(id)?.announcement.incarnation): void {
    const entry = incarnation === undefined ? undefined : this.current(id, incarnation);
    if (entry === undefined || id === this.self?.id) return;
    if (entry.standing.kind === 'trusted' || entry.standing.kind === 'vouched') this.suspect(id, entry, 'link');
  }

  private probeAnswered(id: string, incarnation: string): void {
    const entry = this.current(id, incarnation);
    if (entry === undefined || entry.standing.kind === 'trusted') return;
    if (entry.standing.kind === 'suspect') this.effects.push({ type: 'cleared', id, incarnation });
    const standing: Standing = { kind: 'vouched', sinceMs: this.nowMs, probing: false, probeFailed: false };
    this.put(id, { ...entry, heardAtMs: this.nowMs, standing });
  }

  private probeFailed(id: string, incarnation: string): void {
    const entry = this.current(id, incarnation);
    if (entry === undefined) return;
    const { standing } = entry;
    if (standing.kind !== 'suspect' && !(standing.kind === 'vouched' && standing.probing)) return;
    const failed: Entry = { ...entry, standing: { ...standing, probeFailed: true } };
    this.put(id, failed);
    this.review(id, failed);
  }

  /** Clears suspicions for silence, which was silence of the bus. */
  private trustTheSilent(): void {
    for (const [id, entry] of [...this.entries]) {
      const { kind } = entry.standing;
      if (kind === 'vouched') this.put(id, { ...entry, standing: { kind: 'trusted' } });
      if (kind === 'suspect' && entry.standing.cause === 'silence') {
        this.effects.push({ type: 'cleared', id, incarnation: entry.announcement.incarnation });
        this.put(id, { ...entry, standing: { kind: 'trusted' } });
      }
    }
  }

  /** Whether this process probably caused the silence of the others itself. */
  private isAlone(): boolean {
    this.alone ??= isAlone(this.entries, this.self?.id, this.nowMs);
    return this.alone;
  }

  /** Applies the timeouts of an entry. */
  private review(id: string, entry: Entry): void {
    const { standing } = entry;
    if (standing.kind === 'dead' || standing.kind === 'left') {
      const isOld = this.nowMs - standing.sinceMs > FORGET_AFTER_MS;
      if (isOld && !this.quarantined.has(makerName(entry.announcement))) this.forget(id);
      return;
    }
    if (!canJudge(this.hearing) || id === this.self?.id) return;
    const sinceMs = standing.kind === 'trusted' ? entry.heardAtMs : standing.sinceMs;
    const elapsedMs = this.nowMs - Math.max(sinceMs, this.hearing.judgeFromMs);
    switch (standing.kind) {
      case 'trusted':
        if (elapsedMs > SUSPECT_AFTER_MS && !this.isAlone()) this.suspect(id, entry, 'silence');
        return;
      case 'vouched':
        if (standing.probing && (standing.probeFailed || elapsedMs > PROBE_TIMEOUT_MS))
          this.declareDead(id, entry, 'silence');
        if (!standing.probing && elapsedMs > SUSPECT_AFTER_MS) {
          this.probe(entry);
          const probing: Standing = { kind: 'vouched', sinceMs: this.nowMs, probing: true, probeFailed: false };
          this.put(id, { ...entry, standing: probing });
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
    if (this.isAlone()) return;
    this.effects.push({ type: 'dead', id, incarnation: entry.announcement.incarnation, cause });
    this.put(id, { ...entry, standing: { kind: 'dead', sinceMs: this.nowMs } });
  }

  private probe({ announcement: { id, incarnation, generation, address } }: Entry): void {
    this.effects.push({ type: 'probe', id, incarnation, generation, address });
  }

  private refuse({ id, incarnation }: Announcement, refusal: NonNullable<ReturnType<Turn['refusal']>>): void {
    const what = `${refusal.reason} ${incarnation}`;
    const first = this.refusals.get(id) !== what;
    if (first) {
      const kept = [...this.refusals].filter(([other]) => other !== id).slice(1 - FLEET_WORKERS);
      this.refusals = new Map([...kept, [id, what]]);
    }
    this.effects.push({ type: 'refused', id, incarnation, ...refusal, first });
  }

  /** The entry of this incarnation, unless it is gone. */
  private current(id: string, incarnation: string): Entry | undefined {
    const entry = this.entries.get(id);
    return entry === undefined || isGone(entry) || entry.announcement.incarnation !== incarnation ? undefined : entry;
  }

  private alive(): number {
    let alive = 0;
    for (const [, entry] of this.entries) if (!isGone(entry)) alive++;
    return alive;
  }

  private put(id: string, entry: Entry): void {
    this.changed ||= !looksAlike(this.entries.get(id), entry);
    this.writable().set(id, entry);
    if (this.entries.size > 2 * FLEET_WORKERS) this.forgetOldest();
  }

  private forget(id: string): void {
    this.changed ||= !looksAlike(this.entries.get(id), undefined);
    this.writable().delete(id);
  }

  private writable(): EntriesDraft<Entry> {
    this.draft ??= this.before.entries.draft();
    return this.draft;
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
