import type { ActorSystem } from '../src/actors/system.js';
import type { Bus } from '../src/bus/bus.js';
import type { Clock } from '../src/clock.js';
import type { BlockKey, BlockMeta } from '../src/core/block.js';
import type { Holdings } from '../src/core/holdings.js';
import { blockKeys, packKeys, rootSeed } from '../src/core/key.js';
import { type Candidate, place } from '../src/core/placement.js';
import { Unavailable } from '../src/errors.js';
import type { Roster } from '../src/fleet/roster.js';
import { BLOCK_TOKENS } from '../src/limits.js';
import { EngineProtocol } from '../src/protocol/worker.js';
import { type Placed, runToItsEnd } from './attempts.js';
import type { FleetEvent, FleetRequest } from './fleet.js';
import { InFlight } from './in-flight.js';
import { Outages } from './outages.js';
import { Prefills } from './prefills.js';

/** A request whose prefill has not ended by then is no longer expected to leave blocks. */
const PROMISE_TIMEOUT_MS = 120_000;

/** Until the index knows of the blocks that a prefill left, a promise of them is believed, but no longer than so after the first token. */
const TOLD_AFTER_MS = 200;
/** A request that waits for another's prefill looks this often whether that is still the best it can do. */
const LOOK_AGAIN_MS = 1_000;
/** It waits so long at most, and so many times longer than it should take: rates are estimates, and a graph may hang. */
const PATIENCE_MS = 10_000;
const PATIENCE_TIMES = 4;
/** Workers of the ring that are named to placement in order. */
const RING_ORDER = 64;

export interface RouterOptions {
  readonly bus: Bus;
  readonly actors: ActorSystem;
  readonly roster: Roster;
  readonly holdings: Holdings;
  readonly clock: Clock;
  readonly fingerprint: string;
  readonly replicas: number;
  readonly onResumed: () => void;
}

/** Decides where each request runs, and sees it to its end. */
export class Router {
  private readonly inFlight = new InFlight();
  private readonly prefills: Prefills;
  private readonly outages: Outages;
  /** Placements by worker whose prefill is over, and whose blocks the index may still not know: each looks whether it does. */
  private readonly untold = new Map<string, Set<() => void>>();
  private placements = 0;

  constructor(private readonly options: RouterOptions) {
    this.prefills = new Prefills(options.clock);
    this.outages = new Outages(options.bus, options.clock);
  }

  generate(request: FleetRequest, signal: AbortSignal): AsyncIterable<FleetEvent> {
    const { fingerprint, onResumed } = this.options;
    const attempted = { ...request, fingerprint, salt: request.salt ?? '' };
    return runToItsEnd(
      attempted,
      (tokens, tried, aborted) => this.choose(request, tokens, tried, aborted),
      signal,
      onResumed,
    );
  }

  /** The index has heard of a worker's blocks. */
  told(worker: string): void {
    for (const look of [...(this.untold.get(worker) ?? [])]) look();
  }

  /** Names of the full blocks of a prompt. */
  blocksOf(tokens: Uint32Array, salt: string | null): BlockMeta[] {
    return blockKeys(tokens, rootSeed({ fingerprint: this.options.fingerprint, adapter: '', salt: salt ?? '' }));
  }

  /** Workers that could take the prompt now, the best first. */
  rank(tokens: Uint32Array, blocks: readonly BlockMeta[], excluded: ReadonlySet<string>): Candidate[] {
    const { roster, holdings } = this.options;
    const members = roster.members();
    const giving = new Set(members.filter(({ state }) => state !== 'dead' && state !== 'suspect').map(({ id }) => id));
    return place({
      promptTokens: tokens.length,
      blockTokens: BLOCK_TOKENS,
      coverage: holdings.coverage(
        blocks.map(({ key }) => key),
        (worker) => giving.has(worker),
      ),
      members,
      ringOrder: blocks[0] ? roster.ring.homes(blocks[0].segment, RING_ORDER) : [],
      inFlight: this.inFlight.loadsByWorker,
      excluded,
    });
  }

  private async choose(
    request: FleetRequest,
    tokens: Uint32Array,
    tried: ReadonlySet<string>,
    signal: AbortSignal,
  ): Promise<Placed | null> {
    const { clock } = this.options;
    const blocks = this.blocksOf(tokens, request.salt);
    let untilMs: number | null = null;
    for (;;) {
      await this.outages.over(signal);
      const ranked = this.rank(tokens, blocks, tried);
      const best = request.worker === null ? ranked[0] : ranked.find(({ worker }) => worker === request.worker);
      if (!best) {
        if (request.worker === null || tried.has(request.worker)) return null;
        throw new Unavailable(`worker ${request.worker} is not serving: /v1/fleet lists those that are`);
      }
      if (best.awaits === null || request.worker !== null) return this.placed(best, blocks);
      // Another request is computing what this one would fetch: look again when that is over.
      untilMs ??= clock.now() + PATIENCE_MS + PATIENCE_TIMES * best.costMs;
      if (clock.now() >= untilMs) return this.placed(best, blocks);
      await this.prefills.next(best.awaits, LOOK_AGAIN_MS, signal);
    }
  }

  private placed(best: Candidate, blocks: readonly BlockMeta[]): Placed {
    const { actors, holdings, clock } = this.options;
    const { worker, incarnation } = best;
    const engine = actors.ref(EngineProtocol, { node: worker, incarnation, actor: 'engine' });
    const load = this.inFlight.add(worker, best.computeTokens);
    const outages = this.outages.count;
    const placement = `placement-${++this.placements}`;
    const keys = blocks.map(({ key }) => key);
    holdings.promise(placement, worker, keys, clock.now() + PROMISE_TIMEOUT_MS);
    let told = false;
    const settle = () => {
      holdings.settle(placement);
      this.prefills.over(worker);
    };
    const prefilled = () => {
      load.prefilled();
      if (told) return;
      told = true;
      this.whenTold(worker, keys.at(-1), settle);
    };
    return {
      worker: { id: worker, run: (message, signal) => engine.stream('generate', message, { signal }) },
      keys: packKeys(keys),
      sources: [...best.sources],
      prefilled,
      excused: () => this.outages.count > outages,
      done: () => {
        load.done();
        // Nothing came of it: there will be no blocks.
        if (!told) settle();
        told = true;
      },
    };
  }

  /** Calls back once the index knows that the worker has the block, or after `TOLD_AFTER_MS`: it may not have been kept. */
  private whenTold(worker: string, key: BlockKey | undefined, then: () => void): void {
    const { holdings, clock } = this.options;
    const looks = this.untold.get(worker) ?? new Set();
    this.untold.set(worker, looks);
    const end = () => {
      timer.cancel();
      looks.delete(look);
      if (looks.size === 0 && this.untold.get(worker) === looks) this.untold.delete(worker);
      then();
    };
    const look = () => {
      if (key === undefined || holdings.holders(key).includes(worker)) end();
    };
    const timer = clock.after(TOLD_AFTER_MS, end);
    looks.add(look);
    look();
  }
}
