import type { ActorSystem } from '../../src/actors/system.js';
import type { Clock, Timer } from '../../src/clock.js';
import type { BlockKey, BlockMeta } from '../../src/core/block.js';
import { packKeys, unpackKeys } from '../../src/core/key.js';
import type { Announcement } from '../../src/core/member.js';
import { homesOnce } from '../../src/core/replication.js';
import type { Salt } from '../../src/core/salt.js';
import { PoisonousPrompt, ShoalError, toWire } from '../../src/errors.js';
import type { Roster } from '../../src/fleet/roster.js';
import type { Log } from '../../src/log.js';
import type { AdapterRef } from '../../src/protocol/adapter.js';
import { ShardProtocol } from '../../src/protocol/worker.js';
import type { Layers } from '../layers/layers.js';
import { Assignment, type Fulfilment, type RetainedBlocks } from './assignment.js';
import type { Lease } from './lease.js';
import { PREFILL_ANSWER_TOKENS } from './prefill.js';
import { Recomputations, type Recompute } from './recomputations.js';
import { presentAt, RETENTION_REASON_CHARS, RETENTION_SHARE_AFTER_LOSS, type Retention } from './retention.js';
import type { RetentionStore, StoredPrompt } from './retention-store.js';
import type { StoreTime } from './store-time.js';

/** Makes the fleet fulfil its retentions. Only the coordinator that has the lease does this. */

/** Interval of its rounds. Each renews the lease. */
export const RETENTION_ROUND_MS = 1_000;
/** Interval at which a worker with all its blocks gets its assignment again. */
const RETENTION_REPEAT_MS = 5_000;
/** Time for a worker to report its missing blocks. Shorter than the lease. */
const RETAIN_TIMEOUT_MS = 2_000;
/** Pause after the bucket could not be reached. */
const RETENTION_BUCKET_PAUSE_MS = 5_000;
/** Time without a prompt, as this process sees it, after which a pin is released: the coordinator that took it has not stored its prompt. */
const PROMPT_MISSING_MS = 60_000;

export interface RetentionKeeperOptions {
  readonly clock: Clock;
  readonly time: Pick<StoreTime, 'latestMs'>;
  readonly roster: Roster;
  readonly actors: ActorSystem;
  readonly store: RetentionStore;
  readonly lease: Lease;
  readonly replicas: number;
  readonly log: Log;
  readonly blocksOf: (tokens: Uint32Array, salt: Salt | null, adapter?: AdapterRef | null) => BlockMeta[];
  readonly recompute: Recompute;
  readonly layers: Pick<Layers, 'learn'>;
}

/** A retention with all that its fulfilment needs. */
interface Retained extends RetainedBlocks {
  readonly stage: Retention['stage'];
  readonly prompt: StoredPrompt;
}

const NOTHING_SETTLED = { members: '', keys: new Set<BlockKey>() } as const;

/** A worker's last assignment, and the blocks of it that the worker had. */
interface Told {
  readonly instance: string;
  readonly fence: number;
  readonly keys: ReadonlySet<BlockKey>;
  readonly had: ReadonlySet<BlockKey>;
  readonly atMs: number;
}

export class RetentionKeeper {
  private timer: Timer | null = null;
  private round: Promise<void> | null = null;
  private again = false;
  private stopped = false;
  private restUntilMs = Number.NEGATIVE_INFINITY;
  private readonly told = new Map<string, Told>();
  /** Blocks that were found at all of their homes in the last round, and the members at that time. */
  private settled: { readonly members: string; readonly keys: ReadonlySet<BlockKey> } = NOTHING_SETTLED;
  private readonly blocks = new Map<string, readonly BlockMeta[]>();
  /** Since when this process sees a retention without its prompt, by the clock. */
  private readonly promptless = new Map<string, number>();
  private readonly recomputations: Recomputations;

  constructor(private readonly options: RetentionKeeperOptions) {
    const { clock, log, recompute } = options;
    this.recomputations = new Recomputations({
      clock,
      recompute,
      takes: (worker, tokens) => this.takers(tokens).includes(worker),
      onFailed: (id, reason) => void this.fail(id, reason),
      onTried: (id, error) => {
        const level = error instanceof PoisonousPrompt ? 'warn' : 'debug';
        if (error !== null) log[level]({ pin: id, reason: error.message }, 'cannot compute a pinned prompt yet');
        if (error instanceof PoisonousPrompt) void this.noteReason(id, error.message);
        this.wake();
      },
    });
  }

  start(): void {
    this.timer = this.options.clock.every(RETENTION_ROUND_MS, () => this.wake());
    this.options.roster.listen((effect) => {
      if (effect.type === 'changed') this.wake();
    });
    this.wake();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.timer?.cancel();
    this.recomputations.stop();
    await this.round;
    await this.options.lease.giveBack().catch(() => {});
  }

  /** Begins a round, or another one after the present one. */
  wake(): void {
    if (this.stopped || this.options.clock.now() < this.restUntilMs) return;
    this.again = true;
    this.round ??= this.rounds().finally(() => {
      this.round = null;
    });
  }

  private async rounds(): Promise<void> {
    while (this.again && !this.stopped) {
      this.again = false;
      try {
        await this.once();
      } catch (error) {
        if (!(error instanceof ShoalError)) this.options.log.error({ err: error }, 'cannot keep the pins');
        else this.options.log.debug({ reason: error.message }, 'cannot keep the pins');
        this.restUntilMs = this.options.clock.now() + RETENTION_BUCKET_PAUSE_MS;
        return;
      }
    }
  }

  private async once(): Promise<void> {
    const { lease, store } = this.options;
    const fence = await lease.renew();
    const listed = await store.sync();
    this.learnLayers(listed);
    if (fence === null) {
      // Only the holder of the lease gives orders; a later term begins without the memory of this one.
      this.told.clear();
      this.settled = NOTHING_SETTLED;
      this.promptless.clear();
      this.recomputations.keepOnly(new Set());
      return;
    }
    const retained = await this.retained(listed);
    const members = this.members();
    const assignment = this.assign(retained);
    await this.order(assignment, fence, members);
    this.settled = { members, keys: new Set(assignment.settled()) };
    const progress = assignment.progress();
    await this.noteSettled(progress, retained);
    this.recomputeMissing(progress, retained);
  }

  /** On every coordinator: each of them gives prompts their salts. */
  private learnLayers(listed: readonly Retention[]): void {
    const { layers, store, time } = this.options;
    const present = presentAt(time.latestMs, listed);
    layers.learn(present, ({ id }) => store.known(id));
  }

  /** Names the ring and the processes of the workers: after a change, blocks that were settled may not be any more. */
  private members(): string {
    const { roster } = this.options;
    const alive = roster.members().filter(({ state }) => state !== 'dead');
    return JSON.stringify([roster.epoch, alive.map(({ id, incarnation }) => [id, incarnation])]);
  }

  /** The active retentions, with their blocks. Removes retentions that have expired or have no prompt. */
  private async retained(listed: readonly Retention[]): Promise<Retained[]> {
    const { store, time, log } = this.options;
    const present = new Set(presentAt(time.latestMs, listed));
    const ending: Retention[] = [];
    const retained: Retained[] = [];
    for (const retention of listed) {
      const expired = !present.has(retention);
      const prompt = expired ? null : await store.prompt(retention);
      if (expired || this.isOrphaned(retention.id, prompt)) ending.push(retention);
      if (prompt === null || retention.stage === 'failed') continue;
      const blocks = this.blocks.get(retention.id) ?? this.options.blocksOf(prompt.tokens, prompt.salt, prompt.adapter);
      this.blocks.set(retention.id, blocks);
      retained.push({ id: retention.id, stage: retention.stage, prompt, blocks });
    }
    for (const { id, owner } of ending) log.info({ pin: id, owner: owner?.slice(0, 12) }, 'a pin has ended');
    await store.remove(ending);
    const listedIds = new Set(listed.map(({ id }) => id));
    for (const id of this.promptless.keys()) if (!listedIds.has(id)) this.promptless.delete(id);
    const ids = new Set(retained.map(({ id }) => id));
    for (const id of this.blocks.keys()) if (!ids.has(id)) this.blocks.delete(id);
    this.recomputations.keepOnly(ids);
    return retained;
  }

  /** Whether a retention has been without its prompt for too long. */
  private isOrphaned(id: string, prompt: StoredPrompt | null): boolean {
    if (prompt !== null) {
      this.promptless.delete(id);
      return false;
    }
    const nowMs = this.options.clock.now();
    const sinceMs = this.promptless.get(id) ?? nowMs;
    this.promptless.set(id, sinceMs);
    return nowMs - sinceMs > PROMPT_MISSING_MS;
  }

  private assign(retained: readonly RetainedBlocks[]): Assignment {
    const { roster, replicas } = this.options;
    const homesOf = homesOnce((segment) => roster.ring.homes(segment, replicas));
    const mostBlocks = (worker: string) => {
      const member = roster.alive(worker);
      return member ? Math.floor(capacityOf(member) * RETENTION_SHARE_AFTER_LOSS) : 0;
    };
    return new Assignment(retained, { homesOf, mostBlocks });
  }

  /** Sends each worker its assignment, and records the blocks that it has. */
  private async order(assignment: Assignment, fence: number, members: string): Promise<void> {
    const { roster } = this.options;
    const reachable = roster.members().filter(({ state }) => state === 'serving' || state === 'draining');
    const ids = new Set(reachable.map(({ id }) => id));
    for (const id of this.told.keys()) if (!ids.has(id)) this.told.delete(id);
    const settled = this.settled.members === members ? this.settled.keys : NOTHING_SETTLED.keys;
    const fences = await Promise.all(
      reachable.map(async ({ id, incarnation }) => {
        const keys = assignment.keysFor(id, settled);
        const { had, fenced } = await this.tell(id, incarnation, keys, fence);
        assignment.has(id, had);
        return fenced;
      }),
    );
    const highest = Math.max(0, ...fences);
    // The next round gives its orders under the higher number.
    if (highest > 0) await this.options.lease.raise(highest);
  }

  /** Sends one worker its assignment, unless it has all its blocks and got it lately. `fenced` is the number of another keeper that it obeys, or 0. */
  private async tell(
    worker: string,
    incarnation: string,
    keys: ReadonlySet<BlockKey>,
    fence: number,
  ): Promise<{ had: ReadonlySet<BlockKey>; fenced: number }> {
    const { clock, actors, log } = this.options;
    const before = this.told.get(worker);
    const same = before?.instance === incarnation && before.fence === fence && sameKeys(before.keys, keys);
    if (same && before.had.size === keys.size && clock.now() - before.atMs < RETENTION_REPEAT_MS) {
      return { had: before.had, fenced: 0 };
    }
    this.told.delete(worker);
    const list = [...keys];
    const shard = actors.ref(ShardProtocol, { node: worker, incarnation, actor: 'shard' });
    try {
      const answer = await shard.ask('retain', { fence, keys: packKeys(list) }, { timeoutMs: RETAIN_TIMEOUT_MS });
      if (answer.type === 'fenced') return { had: new Set(), fenced: answer.fence };
      const missing = new Set(unpackKeys(answer.missing));
      const had = new Set(list.filter((key) => !missing.has(key)));
      this.told.set(worker, { instance: incarnation, fence, keys, had, atMs: clock.now() });
      return { had, fenced: 0 };
    } catch (error) {
      log.debug({ worker, reason: toWire(error).message }, 'cannot tell a worker what to retain');
      return { had: new Set(), fenced: 0 };
    }
  }

  /** Notes the retentions that all of their homes have for the first time. */
  private async noteSettled(progress: readonly Fulfilment[], retained: readonly Retained[]): Promise<void> {
    const held = new Set(progress.filter((each) => each.held).map(({ id }) => id));
    const fresh = retained.filter(({ id, stage }) => stage === 'pending' && held.has(id)).map(({ id }) => id);
    if (fresh.length === 0) return;
    await this.options.store.change((present) =>
      present.map((each) => (fresh.includes(each.id) ? { ...each, stage: 'settled' as const, reason: null } : each)),
    );
  }

  private recomputeMissing(progress: readonly Fulfilment[], retained: readonly Retained[]): void {
    const promptOf = (id: string) => retained.find((each) => each.id === id)!.prompt;
    const takersOf = (id: string) => this.takers(promptOf(id).tokens.length);
    for (const { id, worker } of this.recomputations.next(progress, takersOf)) {
      this.recomputations.begin(id, worker, promptOf(id));
    }
  }

  /** The serving workers that take a prompt of this many tokens. */
  private takers(tokens: number): string[] {
    return this.options.roster
      .members()
      .filter(({ state, capacity }) => state === 'serving' && capacity.contextTokens >= tokens + PREFILL_ANSWER_TOKENS)
      .map(({ id }) => id);
  }

  /** Notes why a prompt is not computed yet. */
  private async noteReason(id: string, text: string): Promise<void> {
    const { store, log } = this.options;
    const reason = text.slice(0, RETENTION_REASON_CHARS);
    const note = (present: readonly Retention[]) =>
      present.map((each) => (each.id === id && each.stage === 'pending' ? { ...each, reason } : each));
    await store.change(note).catch((err) => log.debug({ err }, 'cannot note why a pin is pending'));
  }

  private async fail(failed: string, reason: string): Promise<void> {
    const { store, log } = this.options;
    log.warn({ pin: failed, reason }, 'a pinned prompt cannot be computed');
    const mark = (present: readonly Retention[]) =>
      present.map((each) => (each.id === failed ? { ...each, stage: 'failed' as const, reason } : each));
    await store.change(mark).catch((err) => log.debug({ err }, 'cannot note that a pin failed'));
    this.wake();
  }
}

/** Blocks that the device of a worker has memory for. */
export function capacityOf({ budget, blockBytes }: Pick<Announcement, 'budget' | 'blockBytes'>): number {
  return Math.floor(budget.device / blockBytes);
}

function sameKeys(a: ReadonlySet<BlockKey>, b: ReadonlySet<BlockKey>): boolean {
  if (a.size !== b.size) return false;
  for (const key of a) if (!b.has(key)) return false;
  return true;
}
