import type { SeededRandom } from '../../src/random.js';
import { SimCoordinator } from './sim-coordinator.js';
import { NATS_HOST } from './sim-nats.js';
import { SimWorker, type WorkerShape } from './sim-worker.js';
import { describe, type World } from './world.js';

/** The processes of the simulated fleet, and the supervisor that starts them again. */

export interface FleetShape {
  readonly workers: number;
  readonly coordinators: number;
  readonly worker: WorkerShape;
}

export type Member = SimWorker | SimCoordinator;

/** Pause before the supervisor starts a process again. */
const RESTART_MS = { least: 300, most: 2_600 };
/** How far clocks may run apart. */
const CLOCK_DRIFT = 0.001;
const CLOCK_ORIGIN_MS = 1e9;
/** A worker that is told to stop has stopped by then, unless it stands still or is killed meanwhile. */
const STOPS_WITHIN_MS = 60_000;

export class Fleet {
  readonly workers = new Map<string, SimWorker>();
  readonly coordinators = new Map<string, SimCoordinator>();
  /** All processes that were ever started. */
  readonly started: Member[] = [];
  /** Workers that a prompt crashed. */
  poisoned = 0;
  /** Hosts that the supervisor must not start at present, by the number of faults that ask for it. */
  private readonly heldDown = new Map<string, number>();
  private readonly random: SeededRandom;

  constructor(
    private readonly world: World,
    readonly shape: FleetShape,
  ) {
    this.random = world.randomOf('fleet');
    world.onPoisoned = (worker) => {
      this.poisoned++;
      this.crash(worker);
    };
    world.onEnded = (worker, why) => this.endedItself(worker, why);
  }

  /** Where processes run, or ran, and NATS. */
  get allHosts(): string[] {
    return [...new Set([...this.started.map(({ process }) => process.host), NATS_HOST])];
  }

  get members(): Member[] {
    return [...this.workers.values(), ...this.coordinators.values()];
  }

  start(): void {
    for (let i = 1; i <= this.shape.workers; i++) this.launch(`worker-${i}`);
    for (let i = 1; i <= this.shape.coordinators; i++) this.launch(`coordinator-${i}`);
  }

  member(host: string): Member | undefined {
    return this.workers.get(host) ?? this.coordinators.get(host);
  }

  /** Has another process take over the ID of a worker, which stands still until the result is called. The supervisor has given it up. */
  succeed(name: string): () => void {
    const old = this.workers.get(name);
    if (!old?.process.running) return () => {};
    old.process.pause();
    old.succeeded = true;
    this.launch(name, `${name}-successor-${old.process.serial}`);
    return () => old.process.resume();
  }

  /** Kills the process, and keeps the supervisor from starting it until the result is called. */
  kill(host: string): () => void {
    this.heldDown.set(host, (this.heldDown.get(host) ?? 0) + 1);
    this.end(this.member(host));
    let down = true;
    return () => {
      if (!down) return;
      down = false;
      this.release(host);
    };
  }

  /** Stops the worker in order, as a supervisor does, and starts it again when the result was called. */
  restartInOrder(name: string): () => void {
    const worker = this.workers.get(name);
    if (!worker?.process.running || worker.worker === null) return () => {};
    const { time } = this.world;
    this.heldDown.set(name, (this.heldDown.get(name) ?? 0) + 1);
    time.after(STOPS_WITHIN_MS, () => {
      if (!worker.process.alive) return;
      this.world.violate('everything ends', `${name} has not stopped after ${STOPS_WITHIN_MS} ms`);
    });
    worker.stop().then(
      () => time.after(0, () => this.end(worker)),
      (error) => this.world.violate('no process crashes', `${name} cannot stop: ${describe(error)}`),
    );
    // It may also be killed before it has stopped.
    return () => worker.process.onDeath(() => this.release(name));
  }

  private release(host: string): void {
    this.heldDown.set(host, this.heldDown.get(host)! - 1);
    if (this.heldDown.get(host) === 0) this.restart(host);
  }

  private end(member: Member | undefined): void {
    if (!member?.process.alive) return;
    if (member instanceof SimWorker) member.serving = false;
    member.process.kill();
  }

  private crash(worker: SimWorker): void {
    this.end(worker);
    if (this.workers.get(worker.id) === worker) this.restart(worker.id);
  }

  private endedItself(worker: SimWorker, why: string): void {
    const others = this.started.filter(
      (member): member is SimWorker => member instanceof SimWorker && member !== worker && member.id === worker.id,
    );
    const living = others.filter(({ process }) => process.alive);
    const later = living.find(({ generation }) => generation > worker.generation);
    // Without the counter of NATS nobody can tell which of two is the later one.
    const other = later ?? (worker.succeeded || this.world.nats.wasEmptied ? living[0] : undefined);
    if (other) this.workers.set(worker.id, other);
    // A later process fences this one off even if it has been killed since: the supervisor starts another.
    if (other || others.some(({ generation }) => generation > worker.generation)) {
      this.world.time.after(0, () => this.end(worker));
      return;
    }
    this.world.violate('healthy members live', `${worker.id} ended itself: ${why}`);
    this.world.time.after(0, () => this.crash(worker));
  }

  private restart(host: string): void {
    const { least, most } = RESTART_MS;
    this.world.time.after(least + (most - least) * this.random.next(), () => {
      if ((this.heldDown.get(host) ?? 0) === 0 && !this.member(host)?.process.alive) this.launch(host);
    });
  }

  private launch(name: string, host = name): void {
    const { world, random } = this;
    const clock = {
      originMs: Math.floor(CLOCK_ORIGIN_MS * random.next()),
      rate: 1 + CLOCK_DRIFT * (2 * random.next() - 1),
    };
    const process = world.process(host, clock);
    let member: Member;
    if (name.startsWith('worker')) {
      member = new SimWorker(process, name, world, this.shape.worker);
      this.workers.set(name, member);
    } else {
      member = new SimCoordinator(process, world);
      this.coordinators.set(name, member);
    }
    this.started.push(member);
    world.trace.noteText(world.time.nowMs, host);
    member.start().catch((error) => {
      if (!process.alive) return;
      world.violate('healthy members live', `${host} could not start: ${describe(error)}`);
      this.end(member);
      this.restart(name);
    });
  }
}
