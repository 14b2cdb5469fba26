import type { Bus, Subscription } from '../../src/bus/bus.js';
import type { Clock, Timer } from '../../src/clock.js';
import type { BlockKey, SealedBlock } from '../../src/core/block.js';
import { packKeys, unpackKeys } from '../../src/core/key.js';
import { type Maker, sameMaker } from '../../src/core/maker.js';
import { type Accused, type MakerStanding, Tribunal } from '../../src/core/tribunal.js';
import type { Roster } from '../../src/fleet/roster.js';
import type { FleetSubjects } from '../../src/fleet/subjects.js';
import { tryPublish } from '../../src/fleet/try-publish.js';
import type { PacedLog } from '../../src/paced-log.js';
import { AuditMessage } from '../../src/protocol/audit.js';
import { packTokens, unpackTokens } from '../../src/protocol/generate.js';
import { HOLDINGS_KEYS_PER_MESSAGE } from '../../src/protocol/holdings.js';
import { encode } from '../../src/wire/msgpack.js';
import { readMessage } from '../../src/wire/read-message.js';
import type { BlockStore } from '../cache/block-store.js';
import type { WrongBlock } from './auditor.js';
import { withDescendants } from './descendants.js';
import type { Accusation, Copy, EvidenceSearch } from './evidence-search.js';
import type { Hands } from './hands.js';
import type { Trust } from './trust.js';

/** Drops wrong blocks everywhere, and acts on the votes against their makers. */

/** Members that look for evidence besides the one that found a wrong block. @internal exported for tests. */
export const CONFIRMERS = 2;
/** Findings of one member that are heard within a minute: a liar could make the fleet drop blocks without end. */
const FINDINGS_PER_MINUTE = 60;
/** Limit on the remembered wrong blocks, which are never accepted again. The oldest is dropped first. */
const WRONG_BLOCKS = 65_536;
/** Time for which a maker keeps its own wrong block, so that others can ask for it. */
const EVIDENCE_MS = 15_000;
/** Limit on the own wrong blocks that are kept as evidence at a time. */
const EVIDENCE_BLOCKS = 64;
/** Pause between two answers to new processes. */
const REPEAT_MS = 500;

type Found = Extract<AuditMessage, { type: 'found' }>;

export interface MakerQuarantineOptions {
  readonly self: Maker;
  readonly store: BlockStore;
  readonly hands: Hands;
  readonly search: EvidenceSearch;
  readonly roster: Roster;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly subjects: FleetSubjects;
  readonly log: PacedLog;
  /** Blocks were dropped because they are wrong or stand on a wrong one. */
  readonly onDropped: (blocks: number) => void;
}

export class MakerQuarantine implements Trust {
  private readonly tribunal: Tribunal;
  private readonly subscriptions: Subscription[] = [];
  private readonly waiting = new Set<Timer>();
  private readonly findings = new Map<string, { sinceMs: number; count: number }>();
  /** Key and digest of blocks that were found wrong. */
  private readonly wrong = new Set<string>();
  private repeatedMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: MakerQuarantineOptions) {
    this.tribunal = new Tribunal(options.self.id);
  }

  start(): void {
    const { bus, subjects } = this.options;
    this.subscriptions.push(
      bus.subscribe(subjects.audit, ({ payload }) => {
        const message = readMessage(AuditMessage, payload);
        if (message) this.hear(message);
      }),
      bus.subscribe(subjects.hello, () => this.repeat()),
    );
  }

  stop(): void {
    for (const subscription of this.subscriptions.splice(0)) subscription.unsubscribe();
    for (const timer of this.waiting) timer.cancel();
  }

  trusts(worker: Maker): boolean {
    return this.tribunal.standingOf(worker) === 'trusted';
  }

  accepts(block: SealedBlock): boolean {
    const { self, hands } = this.options;
    const { key, digest, maker } = block;
    // A peer could make this worker keep a wrong block under its own name, and others would find it in its maker's hands.
    if (sameMaker(maker, self) && !hands.has(block)) return false;
    return this.trusts(maker) && !this.wrong.has(`${key} ${digest}`);
  }

  get accused(): readonly Accused[] {
    return this.tribunal.accused();
  }

  /** This worker's audit found a wrong block: everybody drops it, and evidence against its maker is looked for. */
  async found({ block, tokens, salt, adapter }: WrongBlock): Promise<void> {
    const { self, log } = this.options;
    const { key, digest, maker } = block;
    this.remember(block);
    const from = this.options.hands.bringerOf(block);
    log.error({ block: key, maker, from }, 'a block was computed again and is wrong: it is dropped in the whole fleet');
    const held = await this.handedCopy(key, digest);
    const prompt = { tokens: packTokens(tokens), salt, ...(adapter && { adapter }) };
    this.publish({ type: 'found', from: self, maker, key, digest, ...prompt });
    this.dropAll(new Set([key]), new Set());
    // Not awaited: the evidence is examined in a separate turn.
    void this.testify({ maker, key, tokens, salt, adapter }, held);
  }

  private hear(message: AuditMessage): void {
    const { self, roster } = this.options;
    if (sameMaker(message.from, self)) return;
    const isMember = roster.has(message.from.id, message.from.incarnation) && this.trusts(message.from);
    switch (message.type) {
      case 'found':
        if (isMember && this.admitsFindingOf(message.from)) void this.hearFound(message);
        return;
      case 'tainted':
        if (isMember) this.dropAll(new Set(unpackKeys(message.keys)), new Set(unpackKeys(message.keys)));
        return;
      case 'vote':
        if (isMember)
          this.judged(message.maker, () => this.tribunal.vote(message.maker, message.from.id, message.pardons));
        return;
      case 'pardoned':
        // Only coordinators pardon, and they are not members.
        if (roster.members().every(({ id }) => id !== message.from.id)) this.pardon(message.maker, message.pardons);
    }
  }

  private async hearFound(found: Found): Promise<void> {
    const { store, self } = this.options;
    const { key, digest, maker } = found;
    this.remember(found);
    const { salt, adapter } = found;
    const accusation = { maker, key, tokens: unpackTokens(found.tokens), salt, adapter };
    const confirms = this.isConfirmer(found);
    const held = confirms ? await this.handedCopy(key, digest) : null;
    // Another copy under this key may be right. Descendants of the key are dropped anyway: they may descend from either copy.
    const spared = store.sealed(key)?.digest === digest ? new Set<BlockKey>() : new Set([key]);
    const drop = () => this.dropAll(new Set([key]), new Set(), spared);
    if (sameMaker(maker, self)) this.later(drop);
    else drop();
    if (confirms) await this.testify(accusation, held);
  }

  /** Runs later what drops a wrong block of this worker's own making, which others may still ask for; at once if too many wait. */
  private later(drop: () => void): void {
    if (this.waiting.size >= EVIDENCE_BLOCKS) {
      drop();
      return;
    }
    const timer = this.options.clock.after(EVIDENCE_MS, () => {
      this.waiting.delete(timer);
      drop();
    });
    this.waiting.add(timer);
  }

  private remember({ key, digest }: Pick<SealedBlock, 'key' | 'digest'>): void {
    if (this.wrong.size >= WRONG_BLOCKS) this.wrong.delete(this.wrong.keys().next().value!);
    this.wrong.add(`${key} ${digest}`);
  }

  /** The first members on the ring after the block, without the two that are concerned. */
  private isConfirmer({ key, maker, from }: Found): boolean {
    const { roster, self } = this.options;
    const others = roster.ring.homes(key, CONFIRMERS + 2).filter((id) => id !== maker.id && id !== from.id);
    return others.slice(0, CONFIRMERS).includes(self.id);
  }

  private async testify(accusation: Accusation, held: Copy | null): Promise<void> {
    const { maker } = accusation;
    if (sameMaker(maker, this.options.self) || !(await this.options.search.sees(accusation, held))) return;
    this.judged(maker, () => this.tribunal.witness(maker));
    this.vote(maker);
  }

  /** A copy of a block that its maker itself brought; null if there is none. */
  private async handedCopy(key: BlockKey, digest: string): Promise<Copy | null> {
    const { store, hands } = this.options;
    const sealed = store.sealed(key);
    if (sealed === null || sealed.digest !== digest || !hands.has(sealed)) return null;
    const pinned = await store.pin(key);
    if (pinned === null) return null;
    const copy = { block: pinned.block, bytes: pinned.bytes.slice() };
    pinned.unpin();
    return copy;
  }

  /** Drops blocks and all their descendants, and reports these to the others, unless they know. */
  private dropAll(
    roots: ReadonlySet<BlockKey>,
    known: ReadonlySet<BlockKey>,
    spared: ReadonlySet<BlockKey> = new Set(),
  ): void {
    const { self, store, onDropped } = this.options;
    const found = withDescendants(store.metas(), roots);
    const dropped = [...found].filter((key) => !spared.has(key) && store.drop(key));
    if (dropped.length > 0) onDropped(dropped.length);
    const news = [...found].filter((key) => !known.has(key) && !roots.has(key)).slice(0, HOLDINGS_KEYS_PER_MESSAGE);
    if (news.length > 0) this.publish({ type: 'tainted', from: self, keys: packKeys(news) });
  }

  private judged(maker: Maker, judge: () => MakerStanding): void {
    const { log, roster, self, store } = this.options;
    const before = this.tribunal.standingOf(maker);
    const after = judge();
    if (before === after) return;
    if (sameMaker(maker, self)) {
      log.error({}, 'this worker made wrong blocks, say others: they take nothing of it any more; test this machine');
      return;
    }
    const by = this.accused.find((accused) => sameMaker(accused.maker, maker))?.voters;
    if (after === 'distrusted')
      log.state('maker', 'error', { maker }, 'this worker was given a wrong block by its maker: it is distrusted');
    if (after === 'quarantined') {
      log.state('maker', 'error', { maker, by }, 'a worker that makes wrong blocks is quarantined');
      roster.quarantine(maker);
      this.vote(maker);
    }
    const made: BlockKey[] = [];
    for (const key of store.keys()) {
      const sealed = store.sealed(key);
      if (sealed !== null && sameMaker(sealed.maker, maker)) made.push(key);
    }
    this.dropAll(new Set(made), new Set());
  }

  private pardon(maker: Maker, pardons: number): void {
    if (!this.tribunal.pardon(maker, pardons)) return;
    this.options.log.state('maker', 'error', { maker }, 'a quarantine was lifted');
    this.options.roster.pardon(maker);
  }

  private vote(maker: Maker): void {
    this.publish({ type: 'vote', from: this.options.self, maker, pardons: this.tribunal.pardonsOf(maker) });
  }

  /** Repeats this worker's votes, for a new process. */
  private repeat(): void {
    const nowMs = this.options.clock.now();
    if (nowMs - this.repeatedMs < REPEAT_MS) return;
    this.repeatedMs = nowMs;
    for (const { maker } of this.accused) this.vote(maker);
  }

  private admitsFindingOf({ id }: Maker): boolean {
    const nowMs = this.options.clock.now();
    const before = this.findings.get(id);
    const minute = before && nowMs - before.sinceMs < 60_000 ? before : { sinceMs: nowMs, count: 0 };
    this.findings.set(id, minute);
    return ++minute.count <= FINDINGS_PER_MINUTE;
  }

  private publish(message: AuditMessage): void {
    tryPublish(this.options.bus, this.options.subjects.audit, encode(message));
  }
}
