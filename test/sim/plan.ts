import { SeededRandom } from '../../src/random.js';
import type { Load } from './clients.js';
import { drawFaults, type Fault, type FaultKind } from './faults.js';
import type { FleetShape } from './fleet.js';

/** What a seed draws: the fleet, its network, its load, and the faults that befall it. */

export const FAULTS_FROM_MS = 4_500;
export const FAULTS_UNTIL_MS = 26_500;

export interface Plan {
  readonly replicas: number;
  /** Delay of the network, one way. */
  readonly delayMs: { readonly least: number; readonly most: number };
  /** How fast a payload leaves the memory of its process. */
  readonly payloadBytesPerMs: number;
  readonly shape: FleetShape;
  readonly load: Load;
  readonly faults: readonly Fault[];
}

const SHARE_OF_TIGHT_MEMORY = 0.25;
const SHARE_OF_LONG_ANSWERS = 0.15;
const SHARE_OF_LEAVING_CLIENTS = 0.3;

export function drawPlan(seed: number): Plan {
  const random = new SeededRandom(Math.imul(seed + 1, 0x9e3779b1));
  const long = random.next() < SHARE_OF_LONG_ANSWERS;
  const workers = long ? 3 : 3 + random.below(3);
  const coordinators = 1 + random.below(2);
  const least = 0.1 + random.next();
  const tight = random.next() < SHARE_OF_TIGHT_MEMORY;
  return {
    replicas: random.next() < 0.8 ? 2 : 3,
    delayMs: { least, most: least * (1 + 8 * random.next()) },
    payloadBytesPerMs: 2 ** (2 + 7 * random.next()),
    shape: {
      workers,
      coordinators,
      worker: {
        cacheBlocks: tight ? 12 + random.below(30) : 2_000,
        prefillMsPerToken: 0.2 + 2 * random.next(),
        decodeMsPerStep: (long ? 20 : 5) + 20 * random.next(),
      },
    },
    load: {
      perSecond: long ? 0.5 : 1 + 4 * random.next(),
      families: 2 + random.below(6),
      prefixBlocks: 2 + random.below(long ? 4 : 14),
      answerTokens: long ? 900 : 24,
      leaving: random.next() < SHARE_OF_LEAVING_CLIENTS ? 0.1 : 0,
    },
    faults: drawFaults(random, {
      fromMs: FAULTS_FROM_MS,
      untilMs: FAULTS_UNTIL_MS,
      workers: namesOf('worker', workers),
      coordinators: namesOf('coordinator', coordinators),
      ...(long && { first: 'killings' }),
    }),
  };
}

/** Names of the processes of one role. */
export function namesOf(role: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${role}-${i + 1}`);
}

/** Faults that leave every living worker within reach of every coordinator. */
const WITHIN_REACH: readonly FaultKind[] = ['kill', 'killings', 'nats away', 'nats emptied', 'poison'];

/**
 * Which requests must succeed, apart from those of a coordinator that is killed. `innocent`: all whose prompt crashes no worker. `unless refused`: the same,
 * but a prompt may be taken for the cause of deaths that it witnessed.
 */
export type Service = 'innocent' | 'unless refused' | 'none';

export function serviceDue({ shape }: Plan, faults: readonly Fault[]): Service {
  const killed = new Set(faults.flatMap((fault) => (fault.kind === 'kill' ? [fault.host] : [])));
  const left = namesOf('worker', shape.workers).filter((name) => !killed.has(name)).length;
  const count = (kind: FaultKind) => faults.filter((fault) => fault.kind === kind).length;
  const dying = 2 * Math.min(1, count('killings') + count('poison'));
  if (left <= dying || !faults.every(({ kind }) => WITHIN_REACH.includes(kind))) return 'none';
  return killed.size + count('killings') > 0 || count('poison') > 1 ? 'unless refused' : 'innocent';
}
