import type { Durability } from '../../src/core/durability.js';
import { SeededRandom } from '../../src/random.js';
import type { Load } from './clients.js';
import { drawFaults, drawStoreFault, type Fault, type FaultKind } from './faults.js';
import type { FleetShape } from './fleet.js';
import type { WorkerShape } from './sim-worker.js';

/** What a seed draws: the fleet, its network, its load, and the faults that befall it. */

export const FAULTS_FROM_MS = 4_500;
/** How long faults may happen. */
const FAULTS_MS = { least: 6_000, most: 22_000 };

export interface Plan {
  readonly replicas: number;
  readonly durability: Durability;
  /** Delay of the network, one way. */
  readonly delayMs: { readonly least: number; readonly most: number };
  /** How fast a payload leaves the memory of its process. */
  readonly payloadBytesPerMs: number;
  /** Whether messages over NATS are sealed. */
  readonly sealed: boolean;
  /** Budget of each worker; 0 for a fleet without objects. */
  readonly objectBytes: number;
  readonly shape: FleetShape;
  readonly load: Load;
  /** The end of all faults and of the load. */
  readonly untilMs: number;
  readonly faults: readonly Fault[];
}

const SHARE_OF_TIGHT_MEMORY = 0.25;
const SHARE_OF_LONG_ANSWERS = 0.15;
const SHARE_OF_LEAVING_CLIENTS = 0.3;
const SHARE_OF_SEALED_BUSES = 0.1;
const SHARE_OF_REMOTE_DEVICES = 0.3;
const SHARE_OF_HOST_TIERS = 0.3;
const SHARE_OF_DISK_TIERS = 0.3;
const SHARE_OF_RETENTIONS = 0.35;
const SHARE_OF_REPEATS = 0.4;
const SHARE_OF_STRICT_DURABILITY = 0.3;

/** One seed in so many has objects, with memory for all of them. */
const SEEDS_PER_OBJECTS = 5;
const OBJECT_BYTES = 8 * 2 ** 20;

export function drawPlan(seed: number): Plan {
  const random = new SeededRandom(Math.imul(seed + 1, 0x9e3779b1));
  const long = random.next() < SHARE_OF_LONG_ANSWERS;
  const workers = long ? 3 : 3 + random.below(3);
  const coordinators = 1 + random.below(2);
  const least = 0.1 + random.next();
  const { least: shortest, most: longest } = FAULTS_MS;
  const untilMs = FAULTS_FROM_MS + (long ? longest : Math.round(shortest + (longest - shortest) * random.next() ** 2));
  const sealed = random.next() < SHARE_OF_SEALED_BUSES;
  const worker = drawWorker(random, long);
  const plan = {
    replicas: random.next() < 0.8 ? 2 : 3,
    // A generator of its own: the other draws of a seed stay as they were.
    durability: new SeededRandom(~seed).next() < SHARE_OF_STRICT_DURABILITY ? ('strict' as const) : ('pooled' as const),
    delayMs: { least, most: least * (1 + 8 * random.next()) },
    payloadBytesPerMs: 2 ** (2 + 7 * random.next()),
    sealed,
    // Not drawn: the other draws of a seed, and the seeds without objects, stay as they were.
    objectBytes: seed % SEEDS_PER_OBJECTS === 0 ? OBJECT_BYTES : 0,
    shape: { workers, coordinators, worker },
    load: drawLoad(random, long),
    untilMs,
  };
  const befallen = {
    fromMs: FAULTS_FROM_MS,
    untilMs,
    workers: namesOf('worker', workers),
    coordinators: namesOf('coordinator', coordinators),
    hasDisks: worker.diskBlocks > 0,
    hasSeals: sealed,
    sure: drawSure(random, { long, sealed, worker }),
  };
  const faults = [
    ...drawFaults(random, befallen),
    ...drawStoreFault(new SeededRandom(Math.imul(~seed, 0x85ebca6b)), befallen),
  ];
  return { ...plan, faults: faults.sort((a, b) => a.atMs - b.atMs) };
}

/** Faults that only some fleets can have are drawn more often for those. */
function drawSure(
  random: SeededRandom,
  { long, sealed, worker }: { long: boolean; sealed: boolean; worker: WorkerShape },
): FaultKind[] {
  if (long) return ['killings'];
  if (worker.diskBlocks > 0 && random.next() < 0.6) return ['disk'];
  return sealed && random.next() < 0.5 ? ['nats unreliable'] : [];
}

function drawWorker(random: SeededRandom, long: boolean): WorkerShape {
  const isTight = random.next() < SHARE_OF_TIGHT_MEMORY;
  const blocks = (share: number) => (random.next() < share ? 8 + random.below(40) : 0);
  return {
    cacheBlocks: isTight ? 12 + random.below(30) : 2_000,
    isRemote: random.next() < SHARE_OF_REMOTE_DEVICES,
    hostBlocks: blocks(SHARE_OF_HOST_TIERS),
    diskBlocks: blocks(SHARE_OF_DISK_TIERS),
    prefillMsPerToken: 0.2 + 2 * random.next(),
    decodeMsPerStep: (long ? 20 : 5) + 20 * random.next(),
  };
}

function drawLoad(random: SeededRandom, long: boolean): Load {
  return {
    perSecond: long ? 0.5 : 1 + 4 * random.next(),
    families: 2 + random.below(6),
    prefixBlocks: 2 + random.below(long ? 4 : 14),
    answerTokens: long ? 900 : 24,
    leaving: random.next() < SHARE_OF_LEAVING_CLIENTS ? 0.1 : 0,
    retentions: random.next() < SHARE_OF_RETENTIONS ? 1 + random.below(3) : 0,
    repeating: random.next() < SHARE_OF_REPEATS ? 0.3 : 0,
  };
}

/** Names of the processes of one role. */
export function namesOf(role: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${role}-${i + 1}`);
}

/** Faults that leave every living worker within reach of every coordinator. */
const WITHIN_REACH: readonly FaultKind[] = [
  'kill',
  'killings',
  'restart',
  'nats away',
  'nats emptied',
  'nats store',
  'poison',
  'disk',
  'wall clock',
];

/**
 * Which requests must succeed, apart from those of a coordinator that is killed. `innocent`: all whose prompt crashes no worker. `unless refused`: the same,
 * but a prompt may be taken for the cause of deaths that it witnessed.
 */
export type Service = 'innocent' | 'unless refused' | 'none';

export function serviceDue({ shape }: Plan, faults: readonly Fault[]): Service {
  const down = (kinds: readonly FaultKind[]) =>
    new Set(faults.flatMap((fault) => ('host' in fault && kinds.includes(fault.kind) ? [fault.host] : [])));
  const gone = down(['kill', 'restart']);
  const left = namesOf('worker', shape.workers).filter((name) => !gone.has(name)).length;
  const count = (kind: FaultKind) => faults.filter((fault) => fault.kind === kind).length;
  // While the store is silent, a worker that is started again waits for it.
  const deaths = count('killings') + count('poison');
  const dying = count('nats store') > 0 && (deaths > 1 || count('killings') > 0) ? left : 2 * Math.min(1, deaths);
  if (left <= dying || !isWithinReach(faults)) return 'none';
  return down(['kill']).size + count('killings') > 0 || count('poison') > 1 ? 'unless refused' : 'innocent';
}

/** What a seed draws beside its faults, in words, so that it can be counted. */
/** Whether no fault keeps living workers, and coordinators, apart. */
export function isWithinReach(faults: readonly Fault[]): boolean {
  return faults.every(({ kind }) => WITHIN_REACH.includes(kind));
}

export function traitsOf({ replicas, durability, sealed, objectBytes, shape, load }: Plan): string[] {
  const { workers, coordinators, worker } = shape;
  const traits: Record<string, boolean> = {
    'three replicas': replicas === 3,
    'three workers': workers === 3,
    'two coordinators': coordinators === 2,
    'strict durability': durability === 'strict',
    'sealed messages': sealed,
    'little memory': worker.cacheBlocks < 2_000,
    'a device with its own memory': worker.isRemote,
    'a host tier': worker.hostBlocks > 0,
    'a disk tier': worker.diskBlocks > 0,
    'long answers': load.answerTokens > 24,
    'clients that leave': load.leaving > 0,
    'clients that repeat requests': load.repeating > 0,
    'retained prompts': load.retentions > 0,
    objects: objectBytes > 0,
  };
  return Object.keys(traits).filter((trait) => traits[trait]);
}
