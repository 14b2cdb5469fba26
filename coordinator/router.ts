import type { RouteKind } from '../src/actors/route.js';
import type { ActorSystem } from '../src/actors/system.js';
import type { Bus } from '../src/bus/bus.js';
import type { Clock } from '../src/clock.js';
import type { BlockKey, BlockMeta } from '../src/core/block.js';
import type { Holdings } from '../src/core/holdings.js';
import { blockKeys, rootSeed } from '../src/core/key.js';
import { type Candidate, place } from '../src/core/placement.js';
import { Unavailable } from '../src/errors.js';
import type { Roster } from '../src/fleet/roster.js';
import { BLOCK_TOKENS } from '../src/limits.js';
import { EngineProtocol } from '../src/protocol/worker.js';
import { type Placed, runToItsEnd } from './attempts.js';
import type { FleetEvent, FleetRequest } from './fleet.js';
import { InFlight } from './in-flight.js';
import { BUS_WAIT_MS, Outages } from './outages.js';
import { Prefills } from './prefills.js';

/** Chooses the worker for each request, and follows the request to its end. */

/** A request whose prefill has not ended by then is no longer expected to leave blocks. */
const PROMISE_TIMEOUT_MS = 120_000;
/** How long promised blocks still count after their prefill while the index has not heard of them: the worker may not have kept them. */
const PROMISE_GRACE_MS = 200;
/** How often a request that waits for another's prefill is ranked again. */
const RERANK_INTERVAL_MS = 1_000;
/** Fixed part of the limit on a wait for another request's prefill; `PATIENCE_FACTOR` adds a part in proportion to the estimate. */
const PATIENCE_MS = 10_000;
/** Multiple of the estimated cost by which a wait for another request's prefill may last longer: rates are estimates, and a graph may hang. */
const PATIENCE_FACTOR = 4;
/** How many workers, clockwise on the ring, placement gets in order. */
const RING_WORKERS = 64;

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

export class Router {
  private readonly inFlight = new InFlight();
  private readonly prefills: Prefills;
  private readonly outages: Outages;
  /** By worker, the checks of placements whose prefill has ended but whose blocks the index may not know yet. */
  private readonly unindexed = new Map<string, Set<() => void>>();
  private placements = 0;

  constructor(private readonly options: RouterOptions) {
    this.prefills = new Prefills(options.clock);
    this.outages = new Outages(options.bus, options.actors, options.clock);
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

  /** To be called after the index applies a change of a worker's holdings. */
  holdingsChanged(worker: string): void {
    for (const check of [...(this.unindexed.get(worker) ?? [])]) check();
  }

  /** The full blocks of a prompt, with their keys. */
  blocksOf(tokens: Uint32Array, salt: string | null): BlockMeta[] {
    return blockKeys(tokens, rootSeed({ fingerprint: this.options.fingerprint, adapter: '', salt: salt ?? '' }));
  }

  /** The workers that could take the prompt now, best first. */
  rank(tokens: Uint32Array, blocks: readonly BlockMeta[], excluded: ReadonlySet<string>): Candidate[] {
    const { roster, holdings } = this.options;
    const members = roster.members();
    const reachable = new Set(
      members.filter(({ state }) => state !== 'dead' && state !== 'suspect').map(({ id }) => id),
    );
    return place({
      promptTokens: tokens.length,
      blockTokens: BLOCK_TOKENS,
      coverage: holdings.coverage(
        blocks.map(({ key }) => key),
        (worker) => reachable.has(worker),
      ),
      members,
      ringOrder: blocks[0] ? roster.ring.homes(blocks[0].segment, RING_WORKERS) : [],
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
    const { bus, clock } = this.options;
    const blocks = this.blocksOf(tokens, request.salt);
    let untilMs: number | null = null;
    let routesUntilMs: number | null = null;
    for (;;) {
      const candidates = this.rank(tokens, blocks, tried);
      const ranked = candidates.filter((candidate) => this.pathTo(candidate) !== null);
      // No worker is known or reachable, and NATS is lost: wait for a route. If the only known workers refused the request, waiting is no remedy.
      if (ranked.length === 0 && !bus.connected && (candidates.length > 0 || tried.size === 0)) {
        routesUntilMs ??= clock.now() + BUS_WAIT_MS;
        await this.outages.waitForRoute(routesUntilMs - clock.now(), signal);
        continue;
      }
      const best = request.worker === null ? ranked[0] : ranked.find(({ worker }) => worker === request.worker);
      if (!best) {
        if (request.worker === null || tried.has(request.worker)) return null;
        throw new Unavailable(`worker '${request.worker}' is not serving; GET /v1/fleet lists the workers`);
      }
      if (best.awaits === null || request.worker !== null) return this.placed(best, blocks);
      // Another request is computing blocks that this one would fetch: rank again when its prefill ends.
      untilMs ??= clock.now() + PATIENCE_MS + PATIENCE_FACTOR * best.costMs;
      if (clock.now() >= untilMs) return this.placed(best, blocks);
      await this.prefills.waitForEnd(best.awaits, RERANK_INTERVAL_MS, signal);
    }
  }

  private pathTo({ worker, incarnation }: Candidate): RouteKind | null {
    return this.options.actors.pathTo({ node: worker, incarnation });
  }

  private placed(best: Candidate, blocks: readonly BlockMeta[]): Placed {
    const { actors, holdings, clock } = this.options;
    const { worker, incarnation } = best;
    const engine = actors.ref(EngineProtocol, { node: worker, incarnation, actor: 'engine' });
    const load = this.inFlight.add(worker, best.computeTokens);
    const outages = this.outages.count;
    const path = this.pathTo(best);
    const placement = `placement-${++this.placements}`;
    const keys = blocks.map(({ key }) => key);
    holdings.promise(placement, worker, keys, clock.now() + PROMISE_TIMEOUT_MS);
    let prefillEnded = false;
    const settle = () => {
      holdings.settle(placement);
      this.prefills.ended(worker);
    };
    const prefilled = () => {
      load.prefilled();
      if (prefillEnded) return;
      prefillEnded = true;
      this.whenIndexed(worker, keys.at(-1), settle);
    };
    return {
      worker: { id: worker, run: (message, signal) => engine.stream('generate', message, { signal }) },
      sources: [...best.sources],
      prefilled,
      busWasLost: () => path === 'nats' && this.outages.count > outages,
      done: () => {
        load.done();
        // Without a prefill there will be no blocks.
        if (!prefillEnded) settle();
        prefillEnded = true;
      },
    };
  }

  /** Calls `then` once the index knows that the worker holds the block, or after `PROMISE_GRACE_MS`. */
  private whenIndexed(worker: string, key: BlockKey | undefined, then: () => void): void {
    const { holdings, clock } = this.options;
    const checks = this.unindexed.get(worker) ?? new Set();
    this.unindexed.set(worker, checks);
    const end = () => {
      timer.cancel();
      checks.delete(check);
      if (checks.size === 0 && this.unindexed.get(worker) === checks) this.unindexed.delete(worker);
      then();
    };
    const check = () => {
      if (key === undefined || holdings.holders(key).includes(worker)) end();
    };
    const timer = clock.after(PROMISE_GRACE_MS, end);
    checks.add(check);
    check();
  }
}
