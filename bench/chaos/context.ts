import { setTimeout as sleep } from 'node:timers/promises';
import { Unavailable } from '../../src/errors.js';
import type { Lifecycle } from '../../src/lifecycle.js';
import type { Random } from '../../src/random.js';
import type { RecallLoad } from '../fleet/recall-load.js';
import { UpFleet } from '../fleet/up-fleet.js';
import type { Figures } from './fault.js';
import { MemberFleet, type MemberFleetOptions } from './member-fleet.js';

const POLL_MS = 20;
const NOTES = 3;
/** Longer than `shoal up` takes to kill a worker that hangs when it should stop. */
const STOP_MS = 30_000;

/** The parts of the runner that a row needs. */
export interface ChaosContextOptions {
  /** Ends everything that the row starts. */
  readonly life: Lifecycle;
  /** Aborted when the row must end: on an interrupt, or after too long a time. */
  readonly signal: AbortSignal;
  readonly random: Random;
  /** A private folder, empty but for its lock. */
  readonly folder: string;
  /** The built command. */
  readonly cli: string;
  readonly natsServer: string;
  readonly progress: (line: string) => void;
  /** How long a row that may take any time runs. */
  readonly soakMs: number;
}

/** A row's fleets, its random generator, and its ways to wait. Everything that it starts ends with the row. */
export class ChaosContext {
  readonly life: Lifecycle;
  readonly random: Random;
  readonly folder: string;
  readonly cli: string;
  readonly natsServer: string;
  readonly progress: (line: string) => void;
  readonly soakMs: number;
  /** The first few details to report if the row fails. */
  readonly notes: string[] = [];
  private readonly signal: AbortSignal;

  constructor(options: ChaosContextOptions) {
    this.life = options.life;
    this.signal = options.signal;
    this.random = options.random;
    this.folder = options.folder;
    this.cli = options.cli;
    this.natsServer = options.natsServer;
    this.progress = options.progress;
    this.soakMs = options.soakMs;
  }

  /** A fleet run by `shoal up`, which restarts what ends. */
  async up(args: readonly string[], env: Record<string, string> = {}): Promise<UpFleet> {
    this.progress(`starting shoal up ${args.join(' ')}`);
    const starting = UpFleet.start(this.cli, args, { TMPDIR: this.folder, ...env });
    // Also if the row ends while the fleet starts.
    this.life.use(starting, () => starting.then(stopped, () => null));
    const fleet = await starting;
    // Also if this process exits at once. The fleet's other processes end with `shoal up`.
    const end = () => void fleet.stop('SIGKILL');
    process.once('exit', end);
    this.life.use(end, () => process.off('exit', end));
    return fleet;
  }

  /** A fleet of single processes: a process that ends stays down until the row starts it again. */
  async members(options: MemberFleetOptions = {}): Promise<MemberFleet> {
    this.progress('starting a fleet of single processes');
    const { cli, natsServer, folder } = this;
    const fleet = new MemberFleet({ cli, natsServer, folder, random: this.random }, options);
    this.life.use(fleet, () => fleet.close());
    await fleet.start();
    return fleet;
  }

  /** Uses a load until the row ends. */
  load(load: RecallLoad): RecallLoad {
    return this.life.use(load, () => load.stop());
  }

  /** Stops a load and counts what went wrong in it. */
  async harm(load: RecallLoad): Promise<Figures> {
    await load.stop();
    const wrong = await load.wrong();
    for (const note of [...load.failed, ...wrong]) this.note(note);
    const requests = load.answers.length + load.failed.length;
    return { requests, failed_requests: load.failed.length, wrong_answers: wrong.length };
  }

  note(text: string): void {
    if (this.notes.length < NOTES) this.notes.push(text);
  }

  /** A random item. */
  pick<T>(from: readonly T[]): T {
    return from[this.random.below(from.length)]!;
  }

  /** A random time between the two. */
  between(leastMs: number, mostMs: number): number {
    return leastMs + this.random.below(mostMs - leastMs + 1);
  }

  /** @throws the reason of the abort */
  pause(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: this.signal });
  }

  /** The result of `work`, which must not reject; 'late' if it takes longer. */
  async orLate<T>(withinMs: number, work: Promise<T>): Promise<T | 'late'> {
    const over = new AbortController();
    const late = sleep(withinMs, 'late' as const, { signal: AbortSignal.any([this.signal, over.signal]) });
    late.catch(() => {});
    try {
      return await Promise.race([work, late]);
    } finally {
      over.abort();
    }
  }

  /** Polls until the condition holds, and resolves with the milliseconds that this took: `withinMs` if it does not hold by then. */
  async timeUntil(withinMs: number, condition: () => Promise<boolean> | boolean): Promise<number> {
    const startMs = performance.now();
    while (performance.now() - startMs < withinMs) {
      if (await Promise.resolve(condition()).catch(() => false)) return Math.round(performance.now() - startMs);
      await this.pause(POLL_MS);
    }
    return withinMs;
  }

  /** As `timeUntil`. @throws Unavailable if the condition does not hold in time */
  async until(what: string, withinMs: number, condition: () => Promise<boolean> | boolean): Promise<number> {
    const tookMs = await this.timeUntil(withinMs, condition);
    if (tookMs >= withinMs) throw new Unavailable(`not within ${withinMs / 1000} s: ${what}`);
    return tookMs;
  }
}

/** Stops a fleet gracefully, or kills it if that takes too long: its processes end with it. */
async function stopped(fleet: UpFleet): Promise<void> {
  const late = new AbortController();
  const killing = sleep(STOP_MS, undefined, { signal: late.signal }).then(
    () => fleet.stop('SIGKILL'),
    () => null,
  );
  await fleet.stop();
  late.abort();
  await killing;
}
