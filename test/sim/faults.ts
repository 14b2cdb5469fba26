import type { SeededRandom } from '../../src/random.js';
import type { Clients } from './clients.js';
import type { Fleet } from './fleet.js';
import type { DiskFault } from './sim-disk.js';
import { NATS_HOST, type StoreOutage, type Unreliability } from './sim-nats.js';
import { refuseStore } from './store-checker.js';
import type { World } from './world.js';

/** The faults of a simulation: each seed draws a schedule of them, which can be shortened and run again. */

interface Timed {
  readonly atMs: number;
  readonly forMs: number;
}

export type Fault = Timed &
  (
    | { readonly kind: 'kill'; readonly host: string }
    /** One worker after another, each started again soon. */
    | { readonly kind: 'killings'; readonly everyMs: number }
    | { readonly kind: 'pause'; readonly host: string }
    /** A worker stands still, and another process takes over its ID meanwhile; then it goes on. */
    | { readonly kind: 'succession'; readonly host: string }
    /** A worker is stopped in order, and started again. */
    | { readonly kind: 'restart'; readonly host: string }
    /** These hosts reach no other, nor NATS, or are not reached, or both. */
    | { readonly kind: 'isolate'; readonly hosts: readonly string[]; readonly ways: 'both' | 'out' | 'in' }
    /** As `isolate`, on and off. */
    | { readonly kind: 'flap'; readonly host: string; readonly periodMs: number }
    | { readonly kind: 'partition'; readonly from: string; readonly to: string; readonly bothWays: boolean }
    /** Messages of a host take longer, and its payloads go at a fraction of the speed. */
    | { readonly kind: 'slow'; readonly host: string; readonly ms: number; readonly speed: number }
    | { readonly kind: 'corrupt'; readonly from: string; readonly to: string; readonly chance: number }
    | { readonly kind: 'nats away' }
    | { readonly kind: 'nats emptied' }
    | { readonly kind: 'nats store'; readonly how: StoreOutage }
    /** Messages over NATS are lost, or come twice. */
    | ({ readonly kind: 'nats unreliable' } & Unreliability)
    | { readonly kind: 'disk'; readonly host: string; readonly how: DiskFault }
    /** The wall clock of a host jumps, and back at the end. */
    | { readonly kind: 'wall clock'; readonly host: string; readonly ms: number }
    | { readonly kind: 'poison'; readonly times: number }
  );

export type FaultKind = Fault['kind'];

/** Those of which a schedule is drawn. The store of NATS has draws of its own, so that those of a seed stay as they were. */
const FAULT_KINDS: readonly FaultKind[] = [
  'kill',
  'killings',
  'restart',
  'pause',
  'succession',
  'isolate',
  'flap',
  'partition',
  'slow',
  'corrupt',
  'nats away',
  'nats emptied',
  'nats unreliable',
  'disk',
  'wall clock',
  'poison',
];

const DISK_FAULTS: readonly DiskFault[] = ['hung', 'slow', 'failing', 'full', 'damaged'];
const STORE_OUTAGES: readonly StoreOutage[] = ['full', 'mute', 'silent', 'off'];
const SHARE_OF_STORE_FAULTS = 0.15;
const WALL_JUMP_MS = 2 * 3_600_000;

export interface FaultPlan {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly workers: readonly string[];
  readonly coordinators: readonly string[];
  readonly hasDisks: boolean;
  /** Whether messages over NATS are sealed: only then they may come twice. */
  readonly hasSeals: boolean;
  /** Kinds that are among the faults in any case. */
  readonly sure: readonly FaultKind[];
}

/** Draws a schedule: a few kinds of fault, and a few faults of these kinds. */
export function drawFaults(random: SeededRandom, plan: FaultPlan): Fault[] {
  const possible = FAULT_KINDS.filter((kind) => kind !== 'disk' || plan.hasDisks);
  const kinds = shuffled(random, possible).slice(0, 1 + random.below(4));
  const faults: Fault[] = plan.sure.map((kind) => drawFault(random, kind, plan));
  const count = faults.length > 0 ? random.below(3) : 1 + random.below(6);
  for (let i = 0; i < count; i++) faults.push(drawFault(random, kinds[random.below(kinds.length)]!, plan));
  return faults;
}

/** Draws whether the store of NATS refuses in a schedule, and when. */
export function drawStoreFault(random: SeededRandom, plan: FaultPlan): Fault[] {
  return random.next() < SHARE_OF_STORE_FAULTS ? [drawFault(random, 'nats store', plan)] : [];
}

function drawFault(random: SeededRandom, kind: FaultKind, plan: FaultPlan): Fault {
  const { workers, coordinators } = plan;
  const hosts = [...workers, ...coordinators];
  const one = (list: readonly string[]) => list[random.below(list.length)]!;
  const lengthMs = plan.untilMs - plan.fromMs;
  const timed = (most: number): Timed => {
    const forMs = Math.round(Math.min(lengthMs, 100 + (most - 100) * random.next() ** 2));
    return { atMs: Math.round(plan.fromMs + (lengthMs - forMs) * random.next()), forMs };
  };
  switch (kind) {
    case 'kill':
      return { kind, ...timed(12_000), host: one(hosts) };
    case 'killings':
      return { kind, ...timed(25_000), everyMs: 1_500 + random.below(3_000) };
    case 'pause':
      return { kind, ...timed(12_000), host: one(hosts) };
    case 'succession':
      return { kind, ...timed(8_000), host: one(workers) };
    case 'isolate': {
      const ways = random.next() < 0.7 ? 'both' : random.next() < 0.5 ? 'out' : 'in';
      return { kind, ...timed(20_000), hosts: random.next() < 0.4 ? half(random, plan) : [one(hosts)], ways };
    }
    case 'restart':
      return { kind, ...timed(4_000), host: one(workers) };
    case 'flap':
      return { kind, ...timed(20_000), host: one(hosts), periodMs: 300 + random.below(2_000) };
    case 'partition': {
      const from = one(hosts);
      const to = one([...hosts, NATS_HOST].filter((host) => host !== from));
      return { kind, ...timed(25_000), from, to, bothWays: random.next() < 0.5 };
    }
    case 'slow':
      return { kind, ...timed(20_000), host: one(hosts), ms: 20 + random.below(400), speed: 0.5 ** random.below(6) };
    case 'corrupt': {
      const from = one(workers);
      const to = one(hosts.filter((host) => host !== from));
      return { kind, ...timed(20_000), from, to, chance: 0.02 + 0.3 * random.next() };
    }
    case 'nats away':
      return { kind, ...timed(15_000) };
    case 'nats emptied':
      return { kind, ...timed(4_000) };
    case 'nats unreliable': {
      const [loss, duplicates] = [0.1 * random.next() ** 2, 0.3 * random.next()];
      return { kind, ...timed(20_000), loss, duplicates: plan.hasSeals ? duplicates : 0 };
    }
    case 'disk':
      return { kind, ...timed(20_000), host: one(workers), how: DISK_FAULTS[random.below(DISK_FAULTS.length)]! };
    case 'wall clock':
      return { kind, ...timed(20_000), host: one(hosts), ms: Math.round(WALL_JUMP_MS * (2 * random.next() - 1)) };
    case 'nats store':
      return { kind, ...timed(25_000), how: STORE_OUTAGES[random.below(STORE_OUTAGES.length)]! };
    case 'poison':
      return { kind, ...timed(1_000), times: 1 + random.below(4) };
  }
}

/** Half of the workers, often with half of the coordinators. */
function half(random: SeededRandom, { workers, coordinators }: FaultPlan): string[] {
  const some = shuffled(random, workers).slice(0, Math.ceil(workers.length / 2));
  if (random.next() < 0.4) return some;
  return [...some, ...shuffled(random, coordinators).slice(0, Math.ceil(coordinators.length / 2))];
}

function shuffled<T>(random: SeededRandom, items: readonly T[]): T[] {
  const left = [...items];
  const drawn: T[] = [];
  while (left.length > 0) drawn.push(...left.splice(random.below(left.length), 1));
  return drawn;
}

/** Lets the faults of a schedule happen and end. */
export function schedule(faults: readonly Fault[], world: World, fleet: Fleet, clients: Clients): void {
  for (const fault of faults) {
    world.time.at(fault.atMs, () => {
      world.trace.noteText(world.time.nowMs, fault.kind);
      const heal = begin(fault, world, fleet, clients, faults);
      world.time.after(fault.forMs, () => {
        world.trace.noteText(world.time.nowMs, `end of ${fault.kind}`);
        heal();
      });
    });
  }
}

function begin(fault: Fault, world: World, fleet: Fleet, clients: Clients, faults: readonly Fault[]): () => void {
  switch (fault.kind) {
    case 'kill':
      return fleet.kill(fault.host);
    case 'pause': {
      const process = fleet.member(fault.host)?.process;
      process?.pause();
      return () => process?.resume();
    }
    case 'killings':
      return killings(world, fleet, fault.everyMs);
    case 'succession':
      return fleet.succeed(fault.host);
    case 'isolate':
      return isolate(world, fleet, fault.hosts, fault.ways);
    case 'flap':
      return flap(world, fleet, fault.host, fault.periodMs);
    case 'partition': {
      const cuts = [world.net.cut(fault.from, fault.to)];
      if (fault.bothWays) cuts.push(world.net.cut(fault.to, fault.from));
      return () => all(cuts);
    }
    case 'slow': {
      const others = fleet.allHosts.filter((host) => host !== fault.host);
      const slowed = others.flatMap((other) => [
        world.net.delay(fault.host, other, fault.ms),
        world.net.delay(other, fault.host, fault.ms),
      ]);
      slowed.push(world.sockets.slow(fault.host, fault.speed));
      return () => all(slowed);
    }
    case 'corrupt':
      return world.net.garble(fault.from, fault.to, fault.chance);
    case 'restart':
      return fleet.restartInOrder(fault.host);
    case 'nats unreliable':
      return world.nats.lose(fault);
    case 'disk':
      return world.disks.get(fault.host)?.fail(fault.how) ?? (() => {});
    case 'wall clock':
      world.wallJumpsMs.set(fault.host, fault.ms);
      return () => void world.wallJumpsMs.delete(fault.host);
    case 'nats away':
      world.nats.stop();
      return () => world.nats.start();
    case 'nats emptied':
      world.nats.stop();
      world.nats.empty();
      return () => world.nats.start();
    case 'nats store':
      return refuseStore(world, fleet, fault.how, faults);
    case 'poison':
      clients.poison(fault.times);
      return () => {};
  }
}

function killings(world: World, fleet: Fleet, everyMs: number): () => void {
  let over = false;
  let turn = 0;
  const next = () => {
    if (over) return;
    const names = [...fleet.workers.keys()];
    fleet.kill(names[turn++ % names.length]!)();
    world.time.after(everyMs, next);
  };
  next();
  return () => {
    over = true;
  };
}

function isolate(world: World, fleet: Fleet, hosts: readonly string[], ways: 'both' | 'out' | 'in'): () => void {
  const cuts: (() => void)[] = [];
  for (const host of hosts) {
    for (const other of fleet.allHosts) {
      if (hosts.includes(other)) continue;
      if (ways !== 'in') cuts.push(world.net.cut(host, other));
      if (ways !== 'out') cuts.push(world.net.cut(other, host));
    }
  }
  return () => all(cuts);
}

function flap(world: World, fleet: Fleet, host: string, periodMs: number): () => void {
  let heal: (() => void) | null = null;
  let over = false;
  const turn = () => {
    if (over) return;
    if (heal === null) {
      heal = isolate(world, fleet, [host], 'both');
    } else {
      heal();
      heal = null;
    }
    world.time.after(periodMs, turn);
  };
  turn();
  return () => {
    over = true;
    heal?.();
  };
}

function all(ends: readonly (() => void)[]): void {
  for (const end of ends) end();
}
