import { Unavailable } from '../../../src/errors.js';
import type { SeededRandom } from '../../../src/random.js';
import type { ActorHandle } from '../../../src/runtime/client/handle-types.js';
import type { Library } from '../../../src/runtime/library.js';
import type { ObjectRef } from '../../../src/runtime/objects/object-ref.js';
import { NATS_HOST } from '../sim-nats.js';
import { forgetTurns, rest, takeTurns } from '../turns.js';
import { describe, type Violation, World } from '../world.js';
import { SimCounter, SimKeeper, SimToken, simDouble } from './code.js';
import { leftOn, SimMember } from './sim-member.js';

/** Runs one simulation of the runtime for users' code: its scheduler, the ownership of objects, and detached actors, under kills and partitions. */

const NODES = 4;
const COUNTERS = 5;
const KEEPERS = 4;
/** Members do not announce themselves, and look, at the same moments. */
const START_WITHIN_MS = 1_000;
const LOAD_FROM_MS = 3_000;
const FAULTS_FROM_MS = 5_000;
const FAULTS_UNTIL_MS = 25_000;
/** By then everything works again, after the last fault. */
const HEALED_MS = 30_000;
/** By then nothing is left, after everything was given up. */
const QUIET_MS = 30_000;
const PAUSE_MS = 400;
const KINDS = ['kill', 'isolate', 'from nats', 'isolate with a driver', 'pause'] as const;
/** NATS stands still: all members keep their connections to it and to each other. */
const SILENCE = 'silent nats';
type Kind = (typeof KINDS)[number] | typeof SILENCE;
/** The part of the seeds in which nothing else goes wrong, so that nobody may be lost. */
const SILENT_SEEDS = 0.25;

export interface RuntimeSeedResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly traceHash: string;
  readonly faults: readonly string[];
  readonly counted: number;
  readonly tasks: number;
  readonly reads: number;
}

/** Runs a seed until it is over or something is violated. To be called outside any promise callback, one seed at a time. */
export function runRuntimeSeed(
  seed: number,
  library: Library,
  onLog: ((line: string) => void) | null = null,
): RuntimeSeedResult {
  takeTurns();
  forgetTurns();
  const delayMs = { least: 0.2, most: 3 };
  const options = {
    seed,
    replicas: 1,
    durability: 'pooled' as const,
    delayMs,
    payloadBytesPerMs: 64,
    objectBytes: 0,
    sealed: true,
  };
  const world = new World({ ...options, onLog });
  const onError = (error: unknown) => world.violate('no process crashes', describe(error));
  process.on('unhandledRejection', onError);
  process.on('uncaughtException', onError);
  try {
    return new Simulation(seed, world, library).run();
  } finally {
    process.off('unhandledRejection', onError);
    process.off('uncaughtException', onError);
    forgetTurns();
  }
}

class Simulation {
  private readonly random: SeededRandom;
  private readonly isSilentOnly: boolean;
  private readonly members = new Map<string, SimMember>();
  private readonly faults: string[] = [];
  private readonly counters: ActorHandle<SimCounter>[] = [];
  private readonly keepers: ActorHandle<SimKeeper>[] = [];
  private readonly tokens: ActorHandle<SimToken>[] = [];
  private readonly refs: ObjectRef<string>[] = [];
  /** What each driver was told by the actor without a state. */
  private readonly told: { readonly life: number; readonly call: number }[] = [];
  private driver!: SimMember;
  private other!: SimMember;
  private over = false;
  private open = 0;
  private counted = 0;
  private tasks = 0;
  private reads = 0;

  constructor(
    private readonly seed: number,
    private readonly world: World,
    private readonly library: Library,
  ) {
    this.random = world.randomOf('faults');
    this.isSilentOnly = this.random.next() < SILENT_SEEDS;
  }

  run(): RuntimeSeedResult {
    const { world } = this;
    const { time } = world;
    const failed = () => world.violations.length > 0;
    for (let i = 1; i <= NODES; i++) this.launch(`node-${i}`, 'node');
    this.driver = this.launch('driver', 'driver');
    this.other = this.launch('other-driver', 'driver');
    time.at(LOAD_FROM_MS, () => this.tried('the load', () => this.load()));
    this.drawFaults();
    time.runUntil(FAULTS_UNTIL_MS + HEALED_MS, failed);
    this.tried('the last look', () => this.lastLook());
    time.runUntil(time.nowMs + HEALED_MS, failed);
    if (!failed() && this.open > 0) world.violate('everything ends', `${this.open} calls are open`);
    this.tried('the end', () => this.giveUp());
    time.runUntil(time.nowMs + QUIET_MS, failed);
    const left = [...this.members.values()].flatMap((member) => leftOn(member));
    if (!failed() && left.length > 0) world.violate('nothing is left', left.join('; '));
    for (const { process } of this.members.values()) process.kill();
    rest();
    const { seed, faults, counted, tasks, reads } = this;
    const { violations, trace } = world;
    return { seed, violations, traceHash: trace.hash, faults, counted, tasks, reads };
  }

  private launch(host: string, kind: SimMember['kind']): SimMember {
    const { world, library } = this;
    const process = world.process(host, { originMs: Math.floor(1e6 * this.random.next()), rate: 1 });
    const member = new SimMember(process, kind, world, library);
    this.members.set(host, member);
    member.onGone = (id) => {
      if (this.isSilentOnly) world.violate('healthy members live', `${host} takes ${id} for gone`);
    };
    process.clock.after(this.random.below(START_WITHIN_MS), () => {
      member.start().catch((error) => {
        if (process.alive) world.violate('healthy members live', `${host} cannot start: ${describe(error)}`);
      });
    });
    return member;
  }

  /** Counts what is open, and takes an error for a violation. */
  private tried(what: string, run: () => Promise<void>): void {
    this.open++;
    run()
      .catch((error) => this.world.violate('what must succeed', `${what}: ${describe(error)}`))
      .finally(() => this.open--);
  }

  private async load(): Promise<void> {
    const fleet = this.driver.fleet!;
    for (let i = 0; i < COUNTERS; i++) {
      const options = {
        name: `counter-${i}`,
        lifetime: 'detached',
        checkpointEvery: 1,
        resources: { cpu: 1 },
      } as const;
      const counter = await fleet.actor(SimCounter, { ...options, maxTaskRetries: 2 });
      this.counters.push(counter);
      this.tried(`counter-${i}`, () => this.count(counter, i));
    }
    for (let i = 0; i < KEEPERS; i++) {
      const keeper = await fleet.actor(SimKeeper, { maxRestarts: 100, maxTaskRetries: 2 });
      this.keepers.push(keeper);
      const ref = fleet.put(`value ${i}`);
      this.refs.push(ref);
      this.tried(`keeper ${i}`, () => this.keep(keeper, ref, i));
    }
    const token = await fleet.actor(SimToken, { name: 'token', lifetime: 'detached' });
    this.tokens.push(token, await this.other.fleet!.get<SimToken>('token'));
    for (const each of this.tokens) this.tried('the token', () => this.askToken(each));
    this.tried('tasks', () => this.runTasks());
  }

  /** Of two actors that both answered, one would give a number that the other has given. */
  private async count(counter: ActorHandle<SimCounter>, i: number): Promise<void> {
    let last = 0;
    while (!this.over) {
      try {
        const next = await counter.$with({ timeoutMs: 8_000 }).next();
        this.counted++;
        if (next <= last) this.world.violate('one actor of a name', `counter-${i} said ${next} after ${last}`);
        last = next;
      } catch (error) {
        this.excuse(error);
      }
      await this.pause();
    }
  }

  private async askToken(token: ActorHandle<SimToken>): Promise<void> {
    while (!this.over) {
      try {
        this.told.push(await token.$with({ timeoutMs: 8_000 }).who());
      } catch (error) {
        this.excuse(error);
      }
      await this.pause();
    }
  }

  /** Once a life of an actor has answered, none before it does. */
  private checkLives(): void {
    const inOrder = this.told.toSorted((a, b) => a.call - b.call);
    const late = inOrder.find(({ life }, i) => i > 0 && life < inOrder[i - 1]!.life);
    if (late) this.world.violate('one actor of a name', `life ${late.life} of the token answered after the next one`);
  }

  /** What an owner keeps that lives is there for all who can reach it. */
  private async keep(keeper: ActorHandle<SimKeeper>, ref: ObjectRef<string>, i: number): Promise<void> {
    while (!this.over) {
      try {
        await keeper.$with({ timeoutMs: 8_000 }).keep({ ref });
        const value = await keeper.$with({ timeoutMs: 8_000 }).read();
        this.reads++;
        if (value !== null && value !== `value ${i}`) this.world.violate('values are right', `${value} of ${i}`);
      } catch (error) {
        // Its owner is linked to its node.
        if (this.isSilentOnly) throw error;
        this.excuse(error);
      }
      await this.pause();
    }
  }

  private async runTasks(): Promise<void> {
    const task = this.driver.fleet!.task(simDouble, { maxTaskRetries: 20, timeoutMs: 20_000 });
    for (let i = 0; !this.over; i++) {
      try {
        const result = await task(i);
        if (result !== 2 * i) this.world.violate('values are right', `the task of ${i} gave ${result}`);
        this.tasks++;
      } catch (error) {
        this.excuse(error);
      }
      await this.pause();
    }
  }

  /** While something is wrong, calls may fail: in one of the ways that a caller can decide on. */
  private excuse(error: unknown): void {
    const isNamed = error instanceof Unavailable || (error as { code?: string }).code === 'deadline';
    if (!isNamed) throw error;
  }

  /** The fleet is whole: whatever an owner keeps that lives can be read, each name answers, and there is one actor of it. */
  private async lastLook(): Promise<void> {
    this.over = true;
    const fleet = this.driver.fleet!;
    for (const counter of this.counters) await counter.next();
    for (const [i, keeper] of this.keepers.entries()) {
      await keeper.keep({ ref: this.refs[i]! });
      if ((await keeper.read()) !== `value ${i}`) throw new Error(`value ${i} is lost`);
    }
    const names = (await fleet.listActors()).flatMap(({ name }) => name ?? []).sort();
    this.checkLives();
    const expected = [...this.counters.map((_, i) => `counter-${i}`), 'token'];
    if (names.join() !== expected.join()) this.world.violate('one actor of a name', `there are ${names.join()}`);
  }

  /** Everything is given up. */
  private async giveUp(): Promise<void> {
    for (const keeper of this.keepers) await keeper.drop();
    for (const actor of [...this.keepers, ...this.counters, this.tokens[0]!]) await actor.$kill();
    for (const ref of this.refs) ref.release();
  }

  private drawFaults(): void {
    const { random, world } = this;
    const count = 1 + random.below(4);
    for (let i = 0; i < count; i++) {
      const host = `node-${1 + random.below(NODES)}`;
      const forMs = 500 + random.below(8_000);
      const atMs = FAULTS_FROM_MS + random.below(FAULTS_UNTIL_MS - FAULTS_FROM_MS - forMs);
      const kind = this.isSilentOnly ? SILENCE : KINDS[random.below(KINDS.length)]!;
      this.faults.push(`${kind} ${host} at ${atMs} ms for ${forMs} ms`);
      world.time.at(atMs, () => {
        world.trace.noteText(world.time.nowMs, kind);
        const heal = this.begin(kind, host);
        world.time.after(forMs, heal);
      });
    }
  }

  private begin(kind: Kind, host: string): () => void {
    const { process } = this.members.get(host)!;
    if (kind === 'pause') {
      process.pause();
      return () => process.resume();
    }
    if (kind === 'kill') {
      process.kill();
      return () => {
        if (!this.members.get(host)!.process.alive) this.launch(host, 'node');
      };
    }
    const { net } = this.world;
    const cuts = this.pathsOf(kind, host).flatMap(([one, other]) => [net.cut(one, other), net.cut(other, one)]);
    return () => {
      for (const end of cuts) end();
    };
  }

  /** The pairs of hosts between which a fault cuts the path. */
  private pathsOf(kind: Kind, host: string): [string, string][] {
    const others = [...this.members.keys()].filter((each) => each !== host);
    switch (kind) {
      case 'isolate':
        return [...others, NATS_HOST].map((other) => [host, other]);
      case 'isolate with a driver': {
        // The driver does not hear that the node is gone, and goes on to call it.
        const { id } = this.other;
        return [
          [id, NATS_HOST],
          ...[...others, NATS_HOST].filter((other) => other !== id).map((other) => [host, other] as [string, string]),
        ];
      }
      case 'silent nats':
        return [host, ...others].map((each) => [each, NATS_HOST]);
      default:
        return [[host, NATS_HOST]];
    }
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => this.driver.process.clock.after(PAUSE_MS, resolve));
  }
}
