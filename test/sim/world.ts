import type { Sender } from '../../src/bus/seal.js';
import { sealTransport } from '../../src/bus/sealed-transport.js';
import type { Transport } from '../../src/bus/transport.js';
import type { Durability } from '../../src/core/durability.js';
import { ShoalError } from '../../src/errors.js';
import type { Log } from '../../src/log.js';
import { SeededRandom } from '../../src/random.js';
import type { Surroundings } from '../../src/surroundings.js';
import { BlockChecker } from './block-checker.js';
import { Net } from './net.js';
import { SimDisk } from './sim-disk.js';
import { NatsServer, type SimBus } from './sim-nats.js';
import { SimSockets } from './sim-network.js';
import { SimProcess } from './sim-process.js';
import { simTransport } from './sim-store.js';
import type { SimWorker } from './sim-worker.js';
import { Trace } from './trace.js';
import { VirtualTime, WALL_ORIGIN_MS } from './virtual-time.js';

/** The world of one simulation: time, network, NATS, chance, and the record of what went wrong. */

export const NAMESPACE = 'sim';
export const SECRET = 'a secret that the simulated fleet shares';

export interface Violation {
  readonly atMs: number;
  /** The invariant that was broken. */
  readonly invariant: string;
  readonly what: string;
}

export interface WorldOptions {
  readonly seed: number;
  readonly replicas: number;
  readonly durability: Durability;
  readonly delayMs: { readonly least: number; readonly most: number };
  /** How fast a payload leaves the memory of its process. */
  readonly payloadBytesPerMs: number;
  /** Whether messages over NATS are sealed, as in production. Only then they may come twice. */
  readonly sealed: boolean;
  /** 0 for a fleet without objects. */
  readonly objectBytes: number;
  /** Receives the log lines of all processes; null for none. */
  readonly onLog: ((line: string) => void) | null;
}

/** Violations that are kept of one run. */
const VIOLATIONS_KEPT = 20;

export class World {
  readonly trace = new Trace();
  readonly time = new VirtualTime((error) => this.violate('no process crashes', describe(error)));
  readonly net: Net;
  readonly nats: NatsServer;
  readonly sockets: SimSockets;
  readonly violations: Violation[] = [];
  readonly replicas: number;
  readonly durability: Durability;
  readonly blocks: BlockChecker;
  /** The worker crashed over a prompt. */
  onPoisoned: (worker: SimWorker) => void = () => {};
  /** The worker ended itself. */
  onEnded: (worker: SimWorker, why: string) => void = () => {};
  /** The disks of hosts that have one. */
  readonly disks = new Map<string, SimDisk>();
  /** How far the wall clocks of hosts are off, in milliseconds. */
  readonly wallJumpsMs = new Map<string, number>();
  readonly isSealed: boolean;
  readonly objectBytes: number;
  private serials = 0;
  private draws = 0;

  constructor(private readonly options: WorldOptions) {
    this.replicas = options.replicas;
    this.durability = options.durability;
    this.isSealed = options.sealed;
    this.objectBytes = options.objectBytes;
    const { time } = this;
    this.net = new Net({
      time,
      random: this.randomOf('net'),
      delayMs: options.delayMs,
      trace: (from, to) => this.trace.note(time.nowMs, from, to),
    });
    this.nats = new NatsServer(this.net);
    this.sockets = new SimSockets(this.net, options.payloadBytesPerMs, (process) =>
      this.violate('memory', `${process.host}: the memory of a block changed while a transfer read it`),
    );
    this.blocks = new BlockChecker(this);
  }

  /** A generator of its own for each use, so that one use does not shift the others. */
  randomOf(use: string): SeededRandom {
    let seed = Math.imul(this.options.seed + 1, 0x9e3779b1) ^ Math.imul(++this.draws, 0x85ebca6b);
    for (const char of use) seed = Math.imul(seed ^ char.charCodeAt(0), 0x01000193);
    return new SeededRandom(seed);
  }

  /** The disk of a host; made at its first use. */
  disk(host: string, budgetBytes: number): SimDisk {
    const disk =
      this.disks.get(host) ??
      new SimDisk({
        time: this.time,
        random: this.randomOf(`disk of ${host}`),
        budgetBytes,
        onExcess: (bytes) => this.violate('memory', `${host}: ${bytes} bytes of files, over ${budgetBytes}`),
      });
    this.disks.set(host, disk);
    return disk;
  }

  transport(process: SimProcess, bus: SimBus, self: Sender): Transport {
    const plain = simTransport(bus);
    if (!this.options.sealed) return plain;
    return sealTransport(plain, {
      clock: process.clock,
      random: this.randomOf('seals'),
      secret: SECRET,
      self,
      namespace: NAMESPACE,
    });
  }

  process(host: string, clock: { originMs: number; rate: number }): SimProcess {
    return new SimProcess(host, ++this.serials, this.time, clock);
  }

  /** A fresh incarnation of a process. */
  incarnation(): string {
    return Buffer.from(this.randomOf('incarnation').bytes(12)).toString('hex');
  }

  violate(invariant: string, what: string): void {
    if (this.violations.length < VIOLATIONS_KEPT) this.violations.push({ atMs: this.time.nowMs, invariant, what });
  }

  /** A handler threw, which ends a process. */
  crashed(process: SimProcess, error: unknown): void {
    this.violate('no process crashes', `${process.host}: ${describe(error)}`);
  }

  poisoned(worker: SimWorker): void {
    this.onPoisoned(worker);
  }

  ended(worker: SimWorker, why: string): void {
    this.onEnded(worker, why);
  }

  logOf(process: SimProcess): Log {
    const { onLog } = this.options;
    if (onLog === null) return NO_LOG;
    const write = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) => {
      const { err, ...rest } = fields as { err?: { message?: string } };
      const detail = JSON.stringify(rest);
      onLog(
        `${(this.time.nowMs / 1000).toFixed(3)} ${process.host} ${level} ${message} ${detail === '{}' ? '' : detail} ${err?.message ?? ''}`,
      );
    };
    const log: Log = {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
      child: () => log,
    };
    return log;
  }
}

const NO_LOG: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => NO_LOG };

export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error instanceof ShoalError ? `${error.name}: ${error.message}` : (error.stack ?? error.message);
}

/** What a process of the simulated fleet meets beside clock and bus. */
export function surroundingsOf(world: World, process: SimProcess): Surroundings {
  return {
    hostId: process.host,
    network: world.sockets.of(process),
    setSendBuffer: null,
    openMemory: null,
    random: world.randomOf('process'),
    wallMs: () => WALL_ORIGIN_MS + world.time.nowMs + (world.wallJumpsMs.get(process.host) ?? 0),
    processMetrics: false,
  };
}
