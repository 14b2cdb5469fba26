import { Clients, type Tally } from './clients.js';
import { convergenceFault } from './convergence.js';
import { type Fault, schedule } from './faults.js';
import { Fleet } from './fleet.js';
import { leftOver } from './left-over.js';
import { ObjectClients } from './object-clients.js';
import { drawPlan, FAULTS_FROM_MS, isWithinReach, type Plan, serviceDue, traitsOf } from './plan.js';
import { SimWorker } from './sim-worker.js';
import { StoreChecker } from './store-checker.js';
import { forgetTurns, rest, takeTurns } from './turns.js';
import { describe, type Violation, World } from './world.js';

/** Runs one simulation from its seed. */

const LOAD_FROM_MS = 2_500;
/** A fleet converges within this time after the last fault. */
const CONVERGES_WITHIN_MS = 45_000;
const LOOK_EVERY_MS = 500;
/** Workers that may die of one prompt. */
const POISON_DEATHS = 2;
/** Requests sent to each coordinator of the healed fleet, and the time for their answers. */
const LAST_REQUESTS = 3;
const LAST_REQUESTS_MS = 90_000;

/** Says what is wrong with a healed fleet; null for nothing. */
interface Checker {
  fault(): string | null;
}

export interface SeedOptions {
  /** In place of the faults that the seed draws. */
  readonly faults?: readonly Fault[];
  /** Receives the log lines of all processes. */
  readonly onLog?: (line: string) => void;
}

export interface SeedResult {
  readonly seed: number;
  readonly faults: readonly Fault[];
  /** What else the seed draws. */
  readonly traits: readonly string[];
  readonly violations: readonly Violation[];
  readonly traceHash: string;
  readonly virtualMs: number;
  readonly events: number;
  readonly requests: Tally;
  /** Prompts that the fleet retains. */
  readonly retained: number;
  /** Commands on objects. */
  readonly objects: ObjectClients['tally'];
  /** Time from the end of the last fault until the fleet had converged; null if it did not. */
  readonly convergedMs: number | null;
  readonly blocks: { readonly blocks: number; readonly copies: number; readonly evicted: number };
}

/** Runs a seed until it is over or something is violated. To be called outside any promise callback, one seed at a time. */
export function runSeed(seed: number, options: SeedOptions = {}): SeedResult {
  takeTurns();
  forgetTurns();
  const plan = drawPlan(seed);
  const world = new World({ seed, ...plan, onLog: options.onLog ?? null });
  const onError = (error: unknown) => world.violate('no process crashes', describe(error));
  process.on('unhandledRejection', onError);
  process.on('uncaughtException', onError);
  try {
    return simulate(seed, plan, world, options.faults ?? plan.faults);
  } finally {
    process.off('unhandledRejection', onError);
    process.off('uncaughtException', onError);
    forgetTurns();
  }
}

function simulate(seed: number, plan: Plan, world: World, faults: readonly Fault[]): SeedResult {
  const { time } = world;
  const failed = () => world.violations.length > 0;
  const fleet = new Fleet(world, plan.shape);
  const clients = new Clients(world, fleet, plan.load, serviceDue(plan, faults));
  const objects = plan.objectBytes > 0 ? new ObjectClients(world, fleet, isWithinReach(faults)) : null;
  const { untilMs } = plan;
  fleet.start();
  time.at(LOAD_FROM_MS, () => clients.start(untilMs));
  if (objects !== null) time.at(LOAD_FROM_MS, () => objects.start(untilMs));
  schedule(faults, world, fleet, clients);
  const healedMs = faults.reduce((last, { atMs, forMs }) => Math.max(last, atMs + forMs), FAULTS_FROM_MS);
  time.runUntil(Math.max(healedMs, untilMs), failed);
  const convergedMs = awaitConvergence(
    world,
    fleet,
    [clients.retained, new StoreChecker(world, fleet), ...(objects ? [objects] : [])],
    healedMs,
  );
  if (!failed()) lastRequests(world, fleet, clients);
  checkPoison(world, fleet, plan, faults);
  const result: SeedResult = {
    seed,
    faults,
    traits: traitsOf(plan),
    violations: world.violations,
    traceHash: world.trace.hash,
    virtualMs: time.nowMs,
    events: time.events,
    requests: { ...clients.tally },
    retained: clients.retained.count,
    objects: { ...(objects?.tally ?? { done: 0, failed: 0 }) },
    convergedMs,
    blocks: world.blocks.counts,
  };
  for (const { process } of fleet.started) process.kill();
  rest();
  for (const worker of fleet.started) if (worker instanceof SimWorker) worker.release();
  return result;
}

/** One prompt crashes two workers at most, where nothing else happens and one coordinator sees all. */
function checkPoison(world: World, fleet: Fleet, plan: Plan, faults: readonly Fault[]): void {
  const alone = faults.length === 1 && faults[0]!.kind === 'poison' && plan.shape.coordinators === 1;
  if (alone && fleet.poisoned > POISON_DEATHS)
    world.violate('two deaths of a prompt', `${fleet.poisoned} workers died of one prompt`);
}

/** Lets time pass until the fleet has converged. Gives how long after `healedMs` that was; null if it has not. */
function awaitConvergence(world: World, fleet: Fleet, checkers: readonly Checker[], healedMs: number): number | null {
  const { time } = world;
  const failed = () => world.violations.length > 0;
  let fault: string | null = null;
  while (time.nowMs - healedMs <= CONVERGES_WITHIN_MS && !failed()) {
    fault = convergenceFault(world, fleet) ?? firstFault(checkers);
    if (fault === null) return time.nowMs - healedMs;
    time.runUntil(time.nowMs + LOOK_EVERY_MS, failed);
  }
  if (!failed()) world.violate('convergence', `not within ${CONVERGES_WITHIN_MS} ms: ${fault}`);
  return null;
}

function firstFault(checkers: readonly Checker[]): string | null {
  for (const checker of checkers) {
    const fault = checker.fault();
    if (fault !== null) return fault;
  }
  return null;
}

/** The healed fleet has to answer, and then to rest. */
function lastRequests(world: World, fleet: Fleet, clients: Clients): void {
  const { time } = world;
  const endMs = time.nowMs + LAST_REQUESTS_MS;
  const failed = () => world.violations.length > 0;
  for (const coordinator of fleet.coordinators.values()) {
    for (let i = 0; i < LAST_REQUESTS; i++) clients.mustSucceed(coordinator);
  }
  let left: string | null = 'not looked yet';
  while (time.nowMs < endMs && left !== null && !failed()) {
    time.runUntil(time.nowMs + LOOK_EVERY_MS, failed);
    left = clients.tally.open > 0 ? `${clients.tally.open} requests are open` : leftOver(fleet);
  }
  if (!failed() && left !== null)
    world.violate('everything ends', `${LAST_REQUESTS_MS} ms after the last request ${left}`);
}
