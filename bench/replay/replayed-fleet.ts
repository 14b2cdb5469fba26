import { hash } from 'node:crypto';
import { InFlight } from '../../coordinator/in-flight.js';
import { rankWorkers } from '../../coordinator/ranking.js';
import type { BlockKey, BlockMeta, SealedBlock } from '../../src/core/block.js';
import { admissionOf, type Durability } from '../../src/core/durability.js';
import { Holdings } from '../../src/core/holdings.js';
import { packKeys } from '../../src/core/key.js';
import type { Member } from '../../src/core/member.js';
import type { Candidate } from '../../src/core/placement.js';
import { type HomesOf, type Push, pushesOf, ringChange } from '../../src/core/replication.js';
import type { OrtRuntime } from '../../src/ort/runtime.js';
import { SeededRandom } from '../../src/random.js';
import { Ring } from '../../src/ring/ring.js';
import type { CostModel } from './cost-model.js';
import type { EventQueue } from './event-queue.js';
import { type Prefilled, Prefiller } from './prefiller.js';
import { replayedMember } from './replayed-member.js';
import { ReplayedWorker } from './replayed-worker.js';
import { TRACE_BLOCK_TOKENS, type TracedRequest } from './trace.js';

/** A fleet in virtual time: the production's index, placement, caches, eviction and replication, without processes, bytes and graphs. */

/** Time from a change of a worker's blocks until the coordinator's index has it. */
const INDEX_LAG_MS = 6;
/** Time until a dead worker's place on the ring goes to others, and until it is back with no blocks. */
const DEATH_NOTICED_MS = 1_000;
const RESTART_MS = 30_000;
/** A request that waits for the prefill of another is ranked again after this time. */
const RERANK_INTERVAL_MS = 1_000;
const DRAWS = 2 ** 32;

export interface ReplayedFleetOptions {
  readonly workers: number;
  /** Blocks that each worker has memory for. */
  readonly capacityBlocks: number;
  readonly replicas: number;
  readonly durability: Durability;
  readonly cost: CostModel;
  readonly runtime: OrtRuntime;
  readonly clock: EventQueue;
}

/** How a request was answered. */
export interface Answered {
  readonly worker: string;
  readonly blocks: number;
  readonly hitBlocks: number;
  readonly fetchedBlocks: number;
  readonly firstTokenMs: number;
}

/** A request in progress. */
interface Asked {
  readonly request: TracedRequest;
  readonly blocks: readonly BlockMeta[];
  readonly atMs: number;
  readonly draw: number;
}

export class ReplayedFleet {
  readonly answered: Answered[] = [];
  private readonly workers = new Map<string, ReplayedWorker>();
  private readonly prefillers = new Map<string, Prefiller<Asked>>();
  private readonly holdings = new Holdings();
  private readonly inFlight = new InFlight();
  private readonly random = new SeededRandom(1);
  private readonly metas = new Map<number, BlockMeta>();
  /** Requests that wait for the next prefill of a worker to end. */
  private readonly waiting = new Map<string, (() => void)[]>();
  private members: Member[];
  private ring: Ring;
  private placements = 0;

  constructor(private readonly options: ReplayedFleetOptions) {
    const ids = Array.from({ length: options.workers }, (_, i) => `worker-${i + 1}`);
    this.members = ids.map((id) => replayedMember(id, options.cost));
    this.ring = new Ring(ids.map((id) => ({ id, incarnation: '1', weight: 1 })));
    for (const id of ids) this.open(id);
  }

  /** Sends a request at the present moment. */
  ask(request: TracedRequest): void {
    const { clock } = this.options;
    this.place({ request, blocks: this.blocksOf(request), atMs: clock.now(), draw: this.random.below(DRAWS) });
  }

  /** Ends a worker at the present moment; it comes back later without its blocks. */
  kill(id: string): void {
    const { clock } = this.options;
    const worker = this.workers.get(id);
    if (worker === undefined || this.workers.size === 1) return;
    this.workers.delete(id);
    this.setState(id, 'dead');
    this.holdings.drop(id);
    const lost = this.prefillers.get(id)!.end();
    this.wake(id);
    for (const asked of lost) this.place(asked);
    clock.after(DEATH_NOTICED_MS, () => this.changeRing());
    clock.after(RESTART_MS, () => {
      this.setState(id, 'serving');
      this.open(id);
      this.changeRing();
    });
  }

  /** Copies of blocks beyond the first, over all workers. */
  get copies(): { readonly blocks: number; readonly copies: number } {
    const held = [...this.workers.values()].flatMap(({ store }) => store.keys());
    return { blocks: new Set(held).size, copies: held.length };
  }

  private readonly homesOf: HomesOf = (segment) => this.ring.homes(segment, this.options.replicas);

  private open(id: string): void {
    const { capacityBlocks, durability, runtime, clock, cost } = this.options;
    const peer = (other: string) => this.workers.get(other);
    const { homesOf } = this;
    const worker = new ReplayedWorker({ id, capacityBlocks, durability, runtime, clock, cost, homesOf, peer });
    this.workers.set(id, worker);
    const { capacity } = this.members.find((member) => member.id === id)!;
    this.prefillers.set(id, new Prefiller(worker, clock, cost, capacity.sequences));
    this.index(worker);
  }

  /** Keeps the coordinator's index of a worker up to date, with a lag. */
  private index(worker: ReplayedWorker): void {
    const { clock } = this.options;
    const changed = { added: new Set<BlockKey>(), removed: new Set<BlockKey>() };
    const snapshot = this.holdings.beginSnapshot(worker.id, '1');
    this.holdings.applyPage(snapshot, { seq: 0, keys: new Uint8Array(0), last: true });
    let seq = 0;
    const record = (key: BlockKey, to: Set<BlockKey>, from: Set<BlockKey>) => {
      if (changed.added.size + changed.removed.size === 0) clock.after(INDEX_LAG_MS, publish);
      from.delete(key);
      to.add(key);
    };
    const publish = () => {
      if (this.workers.get(worker.id) !== worker) return;
      const [added, removed] = [changed.added, changed.removed].map((keys) => packKeys([...keys]));
      this.holdings.applyChange({ worker: worker.id, incarnation: '1', seq: ++seq, added: added!, removed: removed! });
      changed.added.clear();
      changed.removed.clear();
    };
    worker.store.listen({
      added: ({ key }) => record(key, changed.added, changed.removed),
      removed: (key) => record(key, changed.removed, changed.added),
    });
  }

  private place(asked: Asked): void {
    const { blocks, request } = asked;
    const promptTokens = blocks.length * TRACE_BLOCK_TOKENS + 1;
    const [best] = rankWorkers(
      { promptTokens, blocks, contextTokens: promptTokens + request.outputTokens },
      {
        ...{ members: this.members, ring: this.ring, holdings: this.holdings, loads: this.inFlight.loads },
        blockTokens: TRACE_BLOCK_TOKENS,
      },
      new Set(),
      asked.draw,
    );
    if (best!.awaits !== null) this.wait(best!.awaits, () => this.place(asked));
    else this.send(asked, best!);
  }

  private wait(worker: string, then: () => void): void {
    let over = false;
    const once = () => {
      if (over) return;
      over = true;
      then();
    };
    this.waiting.set(worker, [...(this.waiting.get(worker) ?? []), once]);
    this.options.clock.after(RERANK_INTERVAL_MS, once);
  }

  private wake(worker: string): void {
    const waiting = this.waiting.get(worker) ?? [];
    this.waiting.delete(worker);
    for (const then of waiting) then();
  }

  private send(asked: Asked, { worker, computeTokens, sources }: Candidate): void {
    const { clock } = this.options;
    const load = this.inFlight.add(worker, computeTokens);
    const placement = `placement-${++this.placements}`;
    const keys = asked.blocks.map(({ key }) => key);
    this.holdings.promise(placement, worker, keys, Number.POSITIVE_INFINITY);
    const settle = () => {
      this.holdings.settle(placement);
      this.wake(worker);
    };
    const { request, blocks } = asked;
    this.prefillers.get(worker)!.add(asked, {
      prefix: { requestId: placement, blocks, sources },
      outputTokens: request.outputTokens,
      prefilled: (prefilled) => {
        load.prefilled();
        this.prefilled(asked, worker, prefilled);
        // As in production: promised blocks count until the index has them.
        clock.after(INDEX_LAG_MS, settle);
      },
      done: () => load.done(),
      lost: () => {
        load.done();
        settle();
      },
    });
  }

  private prefilled({ blocks, atMs }: Asked, worker: string, { hitBlocks, fetchedBlocks, computed }: Prefilled): void {
    const firstTokenMs = this.options.clock.now() - atMs;
    this.answered.push({ worker, blocks: blocks.length, hitBlocks, fetchedBlocks, firstTokenMs });
    this.push(worker, pushesOf(computed, worker, this.homesOf));
  }

  /** Copies blocks to their homes, after the time of the transfer. */
  private push(from: string, pushes: readonly Push<SealedBlock>[]): void {
    const { clock, cost, durability } = this.options;
    const admission = admissionOf(durability, true);
    let atMs = clock.now();
    for (const { to, blocks } of pushes) {
      atMs += (blocks.length * cost.blockBytes) / cost.fetchBytesPerMs;
      clock.at(atMs, async () => {
        const [source, target] = [this.workers.get(from), this.workers.get(to)];
        for (const block of blocks) {
          if (!source?.store.sealed(block.key)) continue;
          const reserved = target?.store.admit(block, admission);
          if (reserved && typeof reserved !== 'string') await reserved.commit();
        }
      });
    }
  }

  private changeRing(): void {
    const { replicas } = this.options;
    const before = this.ring;
    const alive = [...this.workers.keys()];
    this.ring = new Ring(
      alive.map((id) => ({ id, incarnation: '1', weight: 1 })),
      before,
    );
    const homesBefore: HomesOf = (segment) => before.homes(segment, replicas).filter((id) => this.workers.has(id));
    for (const [self, { store }] of this.workers) {
      const residents = store.keys().flatMap((key) => store.sealed(key) ?? []);
      const context = { self, present: (id: string) => this.workers.has(id), unsettled: [] };
      const change = ringChange(residents, homesBefore, this.homesOf, context);
      store.reassignRoles();
      this.push(self, [...change.pushes, ...change.checks]);
    }
  }

  private setState(id: string, state: Member['state']): void {
    this.members = this.members.map((member) => (member.id === id ? { ...member, state } : member));
  }

  /** Each id of a trace is one block and one segment: 512 tokens are one segment in production. */
  private blocksOf({ ids }: TracedRequest): BlockMeta[] {
    return ids.map((id, index) => {
      const known = this.metas.get(id);
      if (known) return known;
      const key = hash('sha256', `block ${id}`);
      const parent = index === 0 ? null : this.metas.get(ids[index - 1]!)!.key;
      const meta = { key, parent, index, segment: key };
      this.metas.set(id, meta);
      return meta;
    });
  }
}
