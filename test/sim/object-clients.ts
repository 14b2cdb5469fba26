import { ShoalError } from '../../src/errors.js';
import { wholeValue } from '../../src/objects/object-body.js';
import { objectName } from '../../src/objects/object-name.js';
import { ObjectValue } from '../../src/objects/object-value.js';
import type { Objects } from '../../src/objects/objects.js';
import { ReadFloors } from '../../src/objects/read-floors.js';
import type { SeededRandom } from '../../src/random.js';
import type { Fleet } from './fleet.js';
import { ObjectChecker, type Seen } from './object-checker.js';
import type { SimCoordinator } from './sim-coordinator.js';
import { SimWorker } from './sim-worker.js';
import { describe, type World } from './world.js';

/** Clients that put, read, overwrite and delete objects through coordinators, each over one connection, one command after another. */

const SPACE = 'sim';
const KEYS = 6;
const CONNECTIONS = 4;
/** Mean pause of a connection between two commands. */
const PAUSE_MS = 250;
const VALUE_BYTES = 2_000;
/** A command ends by then, whatever happens. */
const ENDS_WITHIN_MS = 60_000;
const WRITE = { contentType: null, fields: {}, expiry: { kind: 'never' }, condition: { kind: 'always' } } as const;

/** One client's connection to one process of a coordinator. */
interface ObjectConnection {
  readonly coordinator: SimCoordinator;
  readonly floors: ReadFloors;
  readonly seen: Map<string, Seen>;
}

export class ObjectClients {
  readonly tally = { done: 0, failed: 0 };
  private readonly random: SeededRandom;
  private readonly checkers: readonly ObjectChecker[];
  private readonly minded = new Set<SimWorker>();
  private deaths = 0;
  private serial = 0;
  /** What the last look at the healed fleet found; null for nothing. */
  private said: string | null = 'nobody has read the objects';
  private looking = false;

  /** @param isStrict whether no fault keeps living workers apart: then acknowledged values are owed */
  constructor(
    private readonly world: World,
    private readonly fleet: Fleet,
    isStrict: boolean,
  ) {
    this.random = world.randomOf('objects');
    this.checkers = Array.from({ length: KEYS }, (_, at) => new ObjectChecker(world, `key-${at}`, isStrict));
  }

  start(untilMs: number): void {
    for (let i = 0; i < CONNECTIONS; i++) this.next(null, untilMs);
  }

  /** What a healed fleet still owes; null for nothing. */
  fault(): string | null {
    const workers = [...this.fleet.workers.values()];
    for (const { id, objects } of workers) {
      if (objects === null || !objects.settled) return `${id} still asks others for its objects`;
      if (objects.owedCopies > 0) return `${id} owes ${objects.owedCopies} copies of objects`;
    }
    this.deaths = 0;
    void this.look();
    return this.said;
  }

  /** Takes the next command of a connection after a pause. */
  private next(connection: ObjectConnection | null, untilMs: number): void {
    const { time } = this.world;
    if (time.nowMs > untilMs) return;
    time.after(-Math.log(1 - this.random.next()) * PAUSE_MS, () => {
      this.mind();
      const open = connection?.coordinator.process.running ? connection : this.dial();
      if (open === null) return this.next(null, untilMs);
      let over = false;
      const end = (kept: ObjectConnection | null) => {
        if (!over) this.next(kept, untilMs);
        over = true;
      };
      open.coordinator.process.onDeath(() => end(null));
      time.after(ENDS_WITHIN_MS, () => {
        if (!over && open.coordinator.process.running)
          this.world.violate('requests end', 'a command on an object is open');
      });
      this.command(open).then(
        () => end(open),
        (error: unknown) => {
          this.tally.failed++;
          if (!(error instanceof ShoalError))
            this.world.violate('objects', `an error without a class: ${describe(error)}`);
          end(open);
        },
      );
    });
  }

  private dial(): ObjectConnection | null {
    const serving = [...this.fleet.coordinators.values()].filter((each) => each.serving && each.process.running);
    const coordinator = serving[this.random.below(Math.max(1, serving.length))];
    return coordinator ? connect(coordinator) : null;
  }

  private async command(connection: ObjectConnection): Promise<void> {
    const checker = this.checkers[this.random.below(KEYS)]!;
    const draw = this.random.next();
    const { objects } = connection.coordinator.parts!.objects;
    if (draw < 0.4) await this.put(objects, checker);
    else if (draw < 0.9) await this.get(connection, checker);
    else await this.remove(objects, checker);
    this.tally.done++;
  }

  private async put(objects: Objects, checker: ObjectChecker): Promise<void> {
    const value = `${checker.key} ${++this.serial} ${'x'.repeat(this.random.below(VALUE_BYTES))}`;
    const change = checker.began(value);
    const bytes = ObjectValue.of(Buffer.from(value));
    try {
      const written = await objects.put(named(checker), bytes, WRITE, new AbortController().signal);
      if (written.type === 'written') checker.acknowledged(change);
    } finally {
      bytes.release();
    }
  }

  private async remove(objects: Objects, checker: ObjectChecker): Promise<void> {
    const change = checker.began(null);
    const removed = await objects.remove(named(checker), { kind: 'always' }, new AbortController().signal);
    if (removed.type === 'written') checker.acknowledged(change);
    else checker.unmet(change);
  }

  private async get({ coordinator, floors, seen }: ObjectConnection, checker: ObjectChecker): Promise<void> {
    const beganMs = this.world.time.nowMs;
    const read = await coordinator.parts!.objects.objects.get(named(checker), { floors }, new AbortController().signal);
    const known = seen.get(checker.key) ?? { version: null, losses: 0 };
    seen.set(checker.key, known);
    if (read.type === 'absent') return checker.read(null, null, beganMs, known);
    const value = await wholeValue(read);
    checker.read(value.copy().toString(), read.info.version, beganMs, known);
    value.release();
  }

  /** Reads all objects through each coordinator. */
  private async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    try {
      for (const coordinator of this.fleet.coordinators.values()) {
        for (const checker of this.checkers) await this.get(connect(coordinator), checker);
      }
      this.said = null;
    } catch (error) {
      this.said = `an object cannot be read: ${describe(error)}`;
    }
    this.looking = false;
  }

  /** Counts the deaths of workers, until all that they kept is kept as often again. */
  private mind(): void {
    const { workers, started } = this.fleet;
    const living = [...workers.values()];
    if (living.every(({ serving, objects }) => serving && objects?.settled && objects.owedCopies === 0))
      this.deaths = 0;
    for (const worker of started) {
      if (!(worker instanceof SimWorker) || this.minded.has(worker)) continue;
      this.minded.add(worker);
      worker.process.onDeath(() => this.died());
    }
  }

  private died(): void {
    if (++this.deaths < this.world.replicas) return;
    for (const checker of this.checkers) checker.excuse();
  }
}

function connect(coordinator: SimCoordinator): ObjectConnection {
  return { coordinator, floors: new ReadFloors(coordinator.process.clock), seen: new Map() };
}

function named({ key }: ObjectChecker) {
  return objectName(SPACE, Buffer.from(key));
}
