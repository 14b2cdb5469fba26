import type { Route } from '../src/actors/route.js';
import type { ActorSystem } from '../src/actors/system.js';
import type { Bus } from '../src/bus/bus.js';
import type { Clock } from '../src/clock.js';
import type { BlockMeta } from '../src/core/block.js';
import type { Holdings } from '../src/core/holdings.js';
import { blockKeys, rootSeed } from '../src/core/key.js';
import { adapterOf, type KvDependence, regimeOf } from '../src/core/kv-dependence.js';
import type { Member } from '../src/core/member.js';
import type { Candidate } from '../src/core/placement.js';
import type { Salt } from '../src/core/salt.js';
import { Unavailable } from '../src/errors.js';
import type { Roster } from '../src/fleet/roster.js';
import type { AdapterRef } from '../src/protocol/adapter.js';
import { EngineProtocol } from '../src/protocol/worker.js';
import type { Random } from '../src/random.js';
import { type Failures, type Placed, runToItsEnd } from './attempts.js';
import type { RequestJournal } from './console/request-journal.js';
import type { FleetEvent, FleetRequest } from './fleet.js';
import { InFlight } from './in-flight.js';
import { OfferedContext } from './offered-context.js';
import { BUS_WAIT_MS, Outages } from './outages.js';
import type { PoisonGuard } from './poison/poison-guard.js';
import { instanceOf, type Trial } from './poison/trial.js';
import { type Attempt, type RankedAttempt, Turn } from './poison/turn.js';
import { Prefills } from './prefills.js';
import { rankWorkers } from './ranking.js';
import { RESTART_WAIT_MS, Restarts } from './restarts.js';
import { Stranded } from './stranded.js';
import { type RouteAgain, triedWorkers } from './tried-workers.js';
import { Unindexed } from './unindexed.js';

/** Chooses the worker for each request, and follows the request to its end. */

/** A request whose prefill has not ended by then is no longer expected to leave blocks. */
const PROMISE_TIMEOUT_MS = 120_000;
/** How often a request that waits for another's prefill is ranked again. */
const RERANK_INTERVAL_MS = 1_000;
/** Fixed part of the limit on a wait for another request's prefill; `PATIENCE_FACTOR` adds a part in proportion to the estimate. */
const PATIENCE_MS = 10_000;
/** Multiple of the estimated cost by which a wait for another request's prefill may last longer: rates are estimates, and a graph may hang. */
const PATIENCE_FACTOR = 4;
/** Number of draws that break ties in different ways. */
const DRAWS = 2 ** 32;

interface Placement extends Placed {
  readonly trial: Trial;
}

interface NamedAttempt extends Attempt {
  readonly requestId: string;
}

export interface RouterOptions {
  readonly bus: Bus;
  readonly actors: ActorSystem;
  readonly roster: Roster;
  readonly holdings: Holdings;
  readonly clock: Clock;
  readonly random: Random;
  readonly fingerprint: string;
  readonly dependence: KvDependence;
  readonly replicas: number;
  readonly poison: PoisonGuard;
  readonly onResumed: () => void;
  /** Hears where requests are placed. */
  readonly journal?: Pick<RequestJournal, 'placed' | 'started'>;
}

export class Router {
  private readonly inFlight = new InFlight();
  private readonly prefills: Prefills;
  private readonly outages: Outages;
  private readonly stranded: Stranded;
  private readonly offered: OfferedContext;
  private readonly restarts: Restarts;
  private readonly unindexed: Unindexed;
  private placements = 0;

  constructor(private readonly options: RouterOptions) {
    this.prefills = new Prefills(options.clock);
    this.outages = new Outages(options.bus, options.actors, options.clock);
    this.stranded = new Stranded(options.bus, options.clock);
    const { roster, holdings, clock } = options;
    this.unindexed = new Unindexed(holdings, clock);
    this.offered = new OfferedContext(roster, clock);
    roster.onAnnounced(({ id, running, waiting, queuedTokens }) =>
      this.inFlight.announced(id, { requests: running + waiting, computeTokens: queuedTokens }),
    );
    roster.listen((effect) => {
      if (effect.type === 'dead' || effect.type === 'left') this.inFlight.gone(effect.id);
    });
    this.restarts = new Restarts(options.roster, options.clock);
  }

  generate(request: FleetRequest, signal: AbortSignal): AsyncIterable<FleetEvent> {
    const { fingerprint, clock, onResumed } = this.options;
    const attempted = { ...request, fingerprint, salt: request.salt ?? '' };
    const name = this.options.poison.nameOf(attempted.tokens, attempted.salt, attempted);
    const { adapter = null } = request;
    const { length } = attempted.tokens;
    const contextTokens = length + attempted.stopping.maxTokens;
    const least = length + (request.leastAnswerTokens ?? attempted.stopping.maxTokens);
    return runToItsEnd(
      attempted,
      (tokens, resumed, failures, aborted) => {
        const blocks = this.blocksOf(tokens, request.salt, adapter);
        // The tokens generated so far must fit, and one more.
        const leastContextTokens = Math.min(contextTokens, Math.max(least, tokens.length + 1));
        const lengths = { contextTokens, leastContextTokens };
        const own = { requestId: request.requestId, name, tokens, resumed, blocks, failures, adapter };
        // The named worker is where the request begins. Once that worker is lost, any other continues.
        const pinned = failures.lost.length > 0 ? null : request.worker;
        return this.choose({ ...own, ...lengths, pinned }, aborted);
      },
      signal,
      clock,
      onResumed,
    );
  }

  /** Tokens of prompt and answer together that some worker takes; null if no worker is known. */
  get offeredContextTokens(): number | null {
    return this.offered.tokens;
  }

  /** To be called after the index applies a change of a worker's holdings. */
  holdingsChanged(worker: string): void {
    this.unindexed.changed(worker);
  }

  /** The full blocks of a prompt, with their keys. */
  blocksOf(tokens: Uint32Array, salt: Salt | null, lora: AdapterRef | null = null): BlockMeta[] {
    const { fingerprint, dependence } = this.options;
    const adapter = adapterOf(regimeOf(dependence, tokens.length), lora?.fingerprint);
    return blockKeys(tokens, rootSeed({ fingerprint, adapter, salt: salt ?? '' }));
  }

  /**
   * The workers that could take the prompt now, best first.
   * @param contextTokens tokens of prompt and answer together
   * @param draw breaks ties: a whole number below 2^32, random for each request
   */
  rank(
    { tokens, blocks, contextTokens, adapter = null }: RankedAttempt,
    excluded: ReadonlySet<string>,
    draw = 0,
  ): Candidate[] {
    const { roster, holdings } = this.options;
    const known = { members: roster.members(), ring: roster.ring, holdings, loads: this.inFlight.loads };
    return rankWorkers({ promptTokens: tokens.length, blocks, contextTokens, adapter }, known, excluded, draw);
  }

  /** The workers with room for the whole answer; if there are none, the workers with room for its least length. */
  private candidates(attempt: Attempt, tried: ReadonlySet<string>, draw: number): Candidate[] {
    const whole = this.rank(attempt, tried, draw);
    if (whole.length > 0) return whole;
    return this.rank({ ...attempt, contextTokens: attempt.leastContextTokens }, tried, draw);
  }

  /** The workers that may take the request now, and the ids of the ones that have failed it. */
  private untried(
    attempt: Attempt,
    draw: number,
  ): { readonly tried: ReadonlySet<string>; readonly candidates: readonly Candidate[] } {
    const { failures, pinned } = attempt;
    const first = this.allBut(attempt, 'direct', draw);
    const any = first.candidates.some(({ worker }) => pinned === null || worker === pinned);
    return any || failures.cutOff.size === 0 ? first : this.allBut(attempt, 'any', draw);
  }

  private allBut(attempt: Attempt, again: RouteAgain, draw: number) {
    const members = this.options.roster.members();
    const tried = triedWorkers(attempt.failures, members, this.restarts, (member) => this.routeTo(member), again);
    return { tried, candidates: this.candidates(attempt, tried, draw) };
  }

  private async choose(attempt: NamedAttempt, signal: AbortSignal): Promise<Placed | null> {
    const turn = new Turn(attempt, this.options);
    try {
      return await this.chooseIn(turn, attempt, signal);
    } finally {
      turn.end();
    }
  }

  private async chooseIn(turn: Turn, attempt: NamedAttempt, signal: AbortSignal): Promise<Placed | null> {
    const { bus, clock, random } = this.options;
    const { name, pinned, failures } = attempt;
    const draw = random.below(DRAWS);
    let untilMs: number | null = null;
    let routesUntilMs: number | null = null;
    let restartsUntilMs: number | null = null;
    for (;;) {
      this.options.poison.check(name);
      this.offered.check(attempt);
      const gate = turn.gate();
      if (gate === null) {
        await turn.wait(signal);
        continue;
      }
      const { tried, candidates } = this.untried(attempt, draw);
      const routed = candidates.filter(
        (candidate) => this.routeTo({ id: candidate.worker, incarnation: candidate.incarnation }).open,
      );
      // No worker is known or reachable, and NATS is lost: wait for a route. If the only known workers refused the request, waiting is no remedy.
      if (routed.length === 0 && !bus.connected && (candidates.length > 0 || failures.tried.size === 0)) {
        routesUntilMs ??= clock.now() + BUS_WAIT_MS;
        await this.outages.waitForRoute(routesUntilMs - clock.now(), signal);
        continue;
      }
      const allowed = routed.filter(({ worker }) => pinned === null || worker === pinned);
      const best = turn.choose(
        allowed,
        gate,
        // A worker that lost the request before is offered again only if it is known to live.
        ({ worker: id, incarnation }) =>
          failures.tried.has(instanceOf(id, incarnation)) || this.routeTo({ id, incarnation }).kind === 'direct',
      );
      if (!best) {
        if (allowed.length > 0 && turn.mayWait) {
          await turn.wait(signal);
          continue;
        }
        if (pinned === null && routed.length === 0 && this.mayComeBack(failures)) {
          if (restartsUntilMs === null && failures.lost.length === 0) this.restarts.admit();
          restartsUntilMs ??= clock.now() + RESTART_WAIT_MS;
          if (await this.restarts.wait(restartsUntilMs, signal)) continue;
        }
        if (candidates.length === 0 && failures.tried.size === 0) this.offered.checkServing(attempt);
        if (pinned === null || tried.has(pinned)) return null;
        throw new Unavailable(
          `worker '${pinned}' is not serving; leave out x-shoal-worker, or name a worker that GET /v1/fleet lists as serving`,
        );
      }
      if (gate.alone) {
        if (turn.isAlone(best)) return this.placedAlone(best, attempt, allowed, turn);
        if (!(await turn.reserve(best))) await turn.wait(signal);
        continue;
      }
      if (best.awaits !== null && pinned === null) {
        // Another request is computing blocks that this one would fetch: rank again when its prefill ends.
        untilMs ??= clock.now() + PATIENCE_MS + PATIENCE_FACTOR * best.costMs;
        if (clock.now() < untilMs) {
          await this.prefills.waitForEnd(best.awaits, RERANK_INTERVAL_MS, signal);
          continue;
        }
      }
      const placed = await this.claimed(this.placed(best, attempt, allowed), attempt, gate.mostWorkers);
      if (placed) return placed;
      await turn.wait(signal);
    }
  }

  private placedAlone(best: Candidate, attempt: NamedAttempt, among: readonly Candidate[], turn: Turn): Placed {
    const placed = this.placed(best, attempt, among);
    turn.pass(placed.trial);
    return placed;
  }

  /** The placement, or null if other coordinators run as many copies of the prompt as may run. Others see the placement meanwhile. */
  private async claimed(placed: Placement, { name }: Attempt, mostWorkers: number): Promise<Placed | null> {
    if (mostWorkers === Number.POSITIVE_INFINITY) return placed;
    const { claims, suspects } = this.options.poison;
    const { trial } = placed;
    const isSuspect = suspects.isSuspect(name);
    const claim = isSuspect ? name.prompt : suspects.proven.unitOf(name);
    if (await claims.claim(claim, trial.worker, mostWorkers, isSuspect)) {
      trial.claim = claim;
      return placed;
    }
    trial.withdraw();
    placed.done();
    return null;
  }

  /** Whether to wait for a worker while none can take the request: one is expected. Where the only workers refused it, waiting is no remedy. */
  private mayComeBack({ lost, tried, unheard }: Failures): boolean {
    for (const [instance, lostMs] of unheard) if (this.restarts.isSilent(instance, lostMs)) return true;
    return (lost.length > 0 || tried.size === 0) && this.restarts.expected;
  }

  private routeTo({ id, incarnation }: Pick<Member, 'id' | 'incarnation'>): Pick<Route, 'kind' | 'open'> {
    return this.options.actors.routeTo({ node: id, incarnation });
  }

  /** Whether the chosen worker can be reached, and whether another one that may take the request. Ranking would cost too much for many requests at once. */
  private reach({ worker, incarnation }: Candidate, { pinned, leastContextTokens, failures }: NamedAttempt) {
    const mayTake = ({ id, incarnation: of, state, capacity }: Member) =>
      state === 'serving' &&
      id !== worker &&
      capacity.contextTokens >= leastContextTokens &&
      !failures.tried.has(instanceOf(id, of));
    return {
      reachable: () => this.routeTo({ id: worker, incarnation }).open,
      elsewhere: () =>
        pinned === null && this.options.roster.members().some((member) => mayTake(member) && this.routeTo(member).open),
    };
  }

  private placed(best: Candidate, attempt: NamedAttempt, candidates: readonly Candidate[]): Placement {
    const { requestId, name, resumed, blocks } = attempt;
    const { actors, holdings, clock, poison, journal } = this.options;
    const { worker, incarnation } = best;
    journal?.placed({ requestId, worker, resumed, candidates });
    const engine = actors.ref(EngineProtocol, { node: worker, incarnation, actor: 'engine' });
    const load = this.inFlight.add(worker, best.computeTokens);
    const trial = poison.suspects.begin(name, worker, incarnation, resumed);
    const outages = this.outages.count;
    const route = this.routeTo({ id: worker, incarnation });
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
      this.unindexed.whenIndexed(worker, keys.at(-1), settle);
    };
    return {
      worker: {
        id: worker,
        instance: trial.instance,
        run: (message, signal, trace) =>
          this.stranded.follow(this.reach(best, attempt), signal, (ending) =>
            engine.stream('generate', message, { signal: ending, trace }),
          ),
      },
      sources: [...best.sources],
      trial,
      started: (event) => journal?.started(requestId, worker, event, blocks),
      prefilled,
      busWasLost: () => route.kind === 'nats' && this.outages.count > outages,
      connectionWasLost: () => route.kind === 'direct' && !route.open,
      done: () => {
        load.done();
        trial.over();
        // Without a prefill there will be no blocks.
        if (!prefillEnded) settle();
        prefillEnded = true;
      },
    };
  }
}
