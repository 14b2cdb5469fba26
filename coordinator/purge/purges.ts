import type { ActorSystem } from '../../src/actors/system.js';
import type { Clock, Timer } from '../../src/clock.js';
import type { BlockKey } from '../../src/core/block.js';
import { packKeys, unpackKeys } from '../../src/core/key.js';
import { joinedSamples } from '../../src/core/key-sample.js';
import type { PurgeSelector } from '../../src/core/purge-selector.js';
import { ShoalError } from '../../src/errors.js';
import type { Roster } from '../../src/fleet/roster.js';
import type { Log } from '../../src/log.js';
import { HOLDINGS_KEYS_PER_MESSAGE } from '../../src/protocol/holdings.js';
import { type PurgeAnswer, type PurgeCounts, type PurgedObjects, ShardProtocol } from '../../src/protocol/worker.js';
import type { Random } from '../../src/random.js';
import { RETENTION_ROUND_MS } from '../retention/retention-keeper.js';
import type { RetentionStore } from '../retention/retention-store.js';
import type { Trail } from '../trail/trail.js';
import { type BlocksOf, endedPins } from './ended-pins.js';
import {
  concerns,
  distinctBlocks,
  isComplete,
  NOTHING_DROPPED,
  type Purge,
  type PurgeRow,
  sum,
  withAnswer,
  withCutOff,
  withKeys,
} from './purge.js';
import type { PurgeStore } from './purge-store.js';
import type { RetryAnswers } from './retry-answers.js';

/** Drops what the fleet keeps of a tenant, a salt or a prompt, also where a worker is away when it is asked for. */

/** Interval of the look for workers that have come back. @internal exported for tests. */
export const PURGE_ROUND_MS = 2_000;
/** Rounds in which blocks that stand on dropped ones are looked for. A prompt's segments have different homes: each round finds the next one at least. */
const CHAIN_ROUNDS = 256;
/** Time in which all coordinators notice that pins have ended. */
const PINS_NOTICED_MS = 2 * RETENTION_ROUND_MS;
/** Time for a worker to drop the blocks of a purge. */
const PURGE_TIMEOUT_MS = 10_000;

/** The port between the HTTP layer and the purges of a fleet. */
export interface Purges {
  /**
   * Ends the pins that the selector chooses, drops its blocks and objects at all workers that can be reached, and remembers the others; coordinators
   * forget its answers. Rejects with `Unavailable` if it cannot be remembered: then nothing was dropped.
   */
  order(what: Purge['what'], selector: PurgeSelector, owner: string | null): Promise<Purge>;
  /** Null if it is not remembered. */
  get(id: string): Promise<Purge | null>;
}

export interface LivePurgesOptions {
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
  readonly random: Random;
  readonly roster: Roster;
  readonly actors: ActorSystem;
  readonly store: PurgeStore;
  readonly retentions: RetentionStore;
  readonly blocksOf: BlocksOf;
  readonly answers: Pick<RetryAnswers, 'forget'>;
  readonly trail: Trail;
  readonly log: Log;
}

type Process = Pick<PurgeRow, 'worker' | 'incarnation'>;

/** What workers are asked to drop. */
interface Order extends Pick<PurgeSelector, 'labels' | 'keys'> {
  readonly objects: PurgedObjects | null;
}

export class LivePurges implements Purges {
  private timer: Timer | null = null;
  private round: Promise<void> | null = null;
  private stopped = false;
  /** By purge: the processes known to have completed it. */
  private readonly settled = new Map<string, Set<string>>();

  constructor(private readonly options: LivePurgesOptions) {}

  async start(): Promise<void> {
    this.timer = this.options.clock.every(PURGE_ROUND_MS, () => this.wake());
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.timer?.cancel();
    await this.round;
  }

  async order(what: Purge['what'], selector: PurgeSelector, owner: string | null): Promise<Purge> {
    const { store, random, roster, wallMs } = this.options;
    const id = `purge-${Buffer.from(random.bytes(12)).toString('hex')}`;
    const workers = roster.members().map(({ id: worker, incarnation }) => ({ worker, incarnation }));
    const rows = workers.map((process): PurgeRow => ({ ...process, state: 'unreachable', counts: NOTHING_DROPPED }));
    const chosen = { labels: [...selector.labels], keys: packKeys([...selector.keys]) };
    const objects = selector.objects ? { ...selector.objects, before: null } : null;
    const nothing = { pins: 0, answers: 0, sample: new Uint8Array(), unsampled: 0 };
    const ordered = { id, owner, what, ...chosen, createdMs: wallMs(), objects, ...nothing, rows };
    // Stored first: if this coordinator dies now, another one continues.
    await store.add(ordered);
    const answers = selector.answers ? await this.options.answers.forget(selector.answers) : 0;
    const pins = await this.endPins(selector);
    await this.everywhere(id, { ...selector, objects });
    // Until every coordinator has noticed, one may compute for these pins, and prompts may use the prefix that one of them published.
    if (pins > 0) await new Promise<void>((resolve) => this.options.clock.after(PINS_NOTICED_MS, resolve));
    // While one worker was asked, another that was not asked yet may have pushed blocks to it.
    await this.everywhere(id, { ...selector, objects: withCutOff((await store.get(id)) ?? ordered, []) });
    return (await store.change(id, (purge) => ({ ...purge, pins, answers }))) ?? ordered;
  }

  get(id: string): Promise<Purge | null> {
    return this.options.store.get(id);
  }

  /** Begins a round for workers that have come back, unless one runs. */
  private wake(): void {
    if (this.stopped) return;
    this.round ??= this.catchUp()
      .catch((err: unknown) => {
        if (err instanceof ShoalError) this.options.log.debug({ reason: err.message }, 'cannot look for purges');
        else this.options.log.error({ err }, 'cannot look for purges');
      })
      .finally(() => {
        this.round = null;
      });
  }

  private async catchUp(): Promise<void> {
    const { store } = this.options;
    const listed = await store.sync();
    const ids = new Set(listed.map(({ id }) => id));
    for (const id of this.settled.keys()) if (!ids.has(id)) this.settled.delete(id);
    for (const { id } of listed) {
      const unsettled = this.alive().filter((process) => !this.isSettled(id, process));
      if (unsettled.length === 0 || this.stopped) continue;
      const purge = await store.get(id);
      if (purge !== null) await this.catchUpWith(purge, unsettled);
    }
  }

  private async catchUpWith(purge: Purge, processes: readonly Process[]): Promise<void> {
    const order = orderOf(purge);
    const owing = processes.filter(({ worker, incarnation }) => concerns(purge, worker, incarnation));
    for (const process of processes) if (!owing.includes(process)) this.settle(purge.id, process);
    const { dropped } = await this.ask(purge.id, order, owing);
    // Until it was asked, a worker that came back may have given what it had to others.
    if (dropped > 0) await this.everywhere(purge.id, order);
  }

  /**
   * Asks all live workers, and again for descendants of blocks that another worker has dropped: a worker cannot tell which blocks a late part of a
   * prompt descends from, if others have the part before.
   */
  private async everywhere(id: string, order: Order): Promise<void> {
    const asked = new Set(order.keys);
    for (let next = order, round = 0; round < CHAIN_ROUNDS; round++) {
      const { beyond } = await this.ask(id, next, this.alive());
      const fresh = [...beyond].filter((key) => !asked.has(key)).slice(0, HOLDINGS_KEYS_PER_MESSAGE);
      if (fresh.length === 0) return;
      for (const key of fresh) asked.add(key);
      next = { labels: [], keys: new Set(fresh), objects: null };
    }
  }

  /** Asks workers, and records their answers. Returns the number of blocks and objects that they dropped, and the descendants of the requested blocks. */
  private async ask(
    id: string,
    order: Order,
    processes: readonly Process[],
  ): Promise<{ readonly dropped: number; readonly beyond: ReadonlySet<BlockKey> }> {
    if (processes.length === 0) return { dropped: 0, beyond: new Set() };
    const { store, trail } = this.options;
    const answers = await Promise.all(processes.map((process) => this.askOne(order, process)));
    const given = answers.filter((answer) => answer !== null);
    const beyond = new Set(given.flatMap((answer) => unpackKeys(answer.beyond)));
    const cutOffs = given.map(({ before }) => before);
    const samples = given.map(({ sample }) => sample);
    const unsampled = given.reduce((total, each) => total + (each.sample.length === 0 ? each.blocks : 0), 0);
    let completed = false;
    const changed = await store.change(id, (purge) => {
      let { rows } = purge;
      for (const [i, process] of processes.entries()) rows = withAnswer(rows, process, countsOf(answers[i] ?? null));
      completed = !isComplete(purge) && isComplete({ rows });
      const sample = joinedSamples([purge.sample, ...samples]);
      const counted = { sample, unsampled: purge.unsampled + unsampled };
      return { ...purge, ...counted, rows, keys: withKeys(purge.keys, beyond), objects: withCutOff(purge, cutOffs) };
    });
    for (const [i, process] of processes.entries()) if (answers[i]?.complete) this.settle(id, process);
    if (changed !== null && completed) {
      const blocks = distinctBlocks(changed).keys;
      trail.write({ event: 'purge_complete', purge: id, tenant: changed.owner, blocks });
    }
    const dropped = given.reduce((total, { blocks, values, responses }) => total + blocks + values + responses, 0);
    return { dropped, beyond };
  }

  /** Null if the worker does not answer. */
  private async askOne(
    { labels, keys, objects }: Order,
    { worker, incarnation }: Process,
  ): Promise<PurgeAnswer | null> {
    const { actors, log } = this.options;
    const shard = actors.ref(ShardProtocol, { node: worker, incarnation, actor: 'shard' });
    const message = { labels: [...labels], keys: packKeys([...keys]), ...(objects && { objects }) };
    try {
      return await shard.ask('purge', message, { timeoutMs: PURGE_TIMEOUT_MS });
    } catch (err) {
      log.debug({ worker, err }, 'a worker does not answer to a purge');
      return null;
    }
  }

  private async endPins(selector: PurgeSelector): Promise<number> {
    const { retentions, blocksOf } = this.options;
    const ended = await endedPins(retentions, selector, blocksOf);
    await retentions.remove(ended);
    return ended.length;
  }

  private alive(): Process[] {
    const members = this.options.roster.members().filter(({ state }) => state !== 'dead');
    return members.map(({ id: worker, incarnation }) => ({ worker, incarnation }));
  }

  private isSettled(id: string, { worker, incarnation }: Process): boolean {
    return this.settled.get(id)?.has(`${worker}/${incarnation}`) ?? false;
  }

  private settle(id: string, { worker, incarnation }: Process): void {
    const known = this.settled.get(id) ?? new Set<string>();
    this.settled.set(id, known);
    for (const each of known) if (each.startsWith(`${worker}/`)) known.delete(each);
    known.add(`${worker}/${incarnation}`);
  }
}

function countsOf(answer: PurgeAnswer | null): PurgeCounts | null {
  if (answer === null) return null;
  const { beyond: _, before: __, sample: ___, ...counts } = answer;
  return counts;
}

/** The dropped copies and objects of all workers together, and the blocks, each counted once. */
export function totalOf(purge: Pick<Purge, 'rows' | 'sample' | 'unsampled'>): PurgeCounts {
  const total = purge.rows.reduce((counts, row) => sum(counts, row.counts), NOTHING_DROPPED);
  return { ...total, blocks: distinctBlocks(purge).keys };
}

function orderOf(purge: Purge): Order {
  const { labels, keys } = purge;
  return { labels, keys: new Set(unpackKeys(keys)), objects: withCutOff(purge, []) };
}
