import type { Announcement } from '../../../../src/core/member.js';
import { step } from '../../../../src/core/membership.js';
import type { MembershipEffect, MembershipEvent } from '../../../../src/core/membership-events.js';
import { emptyMembership, type MembershipState, viewOf } from '../../../../src/core/membership-state.js';
import { firstRank } from '../../../../src/core/own-rank.js';
import { type Rank, rankOf } from '../../../../src/core/rank.js';
import { ANNOUNCE_INTERVAL_MS, PROBE_TIMEOUT_MS } from '../../../../src/limits.js';
import { SeededRandom } from '../../../../src/random.js';
import { announcement, FINGERPRINT } from '../../../support/announcement.js';

/** A fleet of membership state machines in virtual time, over a bus that delays, loses and cuts messages. */

const TICK_MS = ANNOUNCE_INTERVAL_MS / 2;
/** Time after which a member that is cut off no longer takes the silence for that of others. */
const KNOWS_MS = 700;

/** Mistakes that the invariants have to catch. */
export type Mutant = 'obeys one refusal' | 'never suspects itself';

export interface SimulatedOptions {
  readonly workers: number;
  readonly coordinators: number;
  readonly seed: number;
  /** Share of messages on the bus that are lost while there are faults. */
  readonly loss: number;
  /** Whether generations come from a counter of the fleet. */
  readonly counter: boolean;
  readonly mutant?: Mutant;
}

/** One process: a worker, or a coordinator if it has no generation. */
class Process {
  state: MembershipState;
  alive = true;
  /** Whether it ended itself. */
  ended = false;
  paused = false;
  /** Whether the bus takes its messages, and brings it those of others. */
  sends = true;
  receives = true;
  busLost = false;
  cutAtMs: number | null = null;
  readonly backlog: (() => void)[] = [];

  constructor(
    readonly name: string,
    readonly incarnation: string,
    readonly generation: number | null,
    nowMs: number,
  ) {
    const rank = generation === null ? null : firstRank(name, { generation, incarnation }, nowMs);
    this.state = emptyMembership(rank, FINGERPRINT, nowMs);
  }

  get says(): Announcement | null {
    return this.state.self && announcement(this.name, rankOf(this.state.self));
  }
}

interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

export class SimulatedMembers {
  nowMs = 1_000;
  readonly processes: Process[] = [];
  /** What went wrong. */
  readonly violations: string[] = [];
  deaths = 0;
  private loss: number;
  private order = 0;
  private due: Due[] = [];
  private readonly random: () => number;
  private readonly severed = new Set<string>();
  private readonly counters = new Map<string, number>();
  private incarnations = 0;

  constructor(private readonly options: SimulatedOptions) {
    const random = new SeededRandom(options.seed);
    this.random = () => random.next();
    this.loss = options.loss;
    for (let i = 0; i < options.workers; i++) this.start(`w${i}`);
    for (let i = 0; i < options.coordinators; i++) this.add(`c${i}`, null);
  }

  /** Starts a process of a worker's ID. */
  start(id: string): void {
    const count = (this.counters.get(id) ?? 0) + 1;
    this.counters.set(id, count);
    this.add(id, this.options.counter ? count : 0);
  }

  kill(name: string): void {
    const process = this.of(name);
    process.alive = false;
    for (const other of this.processes) if (this.reaches(process, other)) this.linkCloses(other, process);
  }

  pause(name: string): void {
    this.of(name).paused = true;
  }

  /** Resumes all processes of this name. */
  resume(name: string): void {
    for (const process of this.processes) {
      if (process.name !== name || !process.paused) continue;
      process.paused = false;
      const backlog = process.backlog.splice(0);
      if (this.random() < 0.5) this.step(process, { type: 'tick' });
      for (const run of backlog) run();
    }
  }

  /** Cuts a process off the bus, and off all others if both directions are cut. The bus notices that some time later, or never. */
  cut(name: string, ways: { readonly sends: boolean; readonly receives: boolean } = { sends: false, receives: false }) {
    const process = this.of(name);
    process.sends &&= ways.sends;
    process.receives &&= ways.receives;
    process.cutAtMs ??= this.nowMs;
    const { cutAtMs } = process;
    if (this.random() < 0.2) for (const other of this.processes) this.linkCloses(other, process, process);
    if (this.random() < 0.8)
      this.after(2_000 + 1_000 * this.random(), () => {
        if (process.cutAtMs !== cutAtMs || process.busLost) return;
        process.busLost = true;
        this.reach(process, () => this.step(process, { type: 'busLost' }));
      });
  }

  /** Ends the cuts of all processes of this name. */
  heal(name: string): void {
    for (const process of this.processes) if (process.name === name) this.reconnect(process);
  }

  /** Cuts the direct path from one process to another. */
  sever(from: string, to: string): void {
    this.severed.add(`${from} ${to}`);
    const [a, b] = [this.of(from), this.of(to)];
    this.linkCloses(a, b);
    this.linkCloses(b, a);
  }

  /** Ends all faults. */
  healAll(): void {
    this.loss = 0;
    this.severed.clear();
    for (const name of new Set(this.processes.map((process) => process.name))) {
      this.heal(name);
      this.resume(name);
    }
  }

  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const next = this.due.reduce<Due | null>((a, b) => (a && !before(b, a) ? a : b), null);
      if (next === null || next.atMs > untilMs) break;
      this.due.splice(this.due.indexOf(next), 1);
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = untilMs;
  }

  /** How the views of the living differ from the truth. */
  differences(): string[] {
    const living = this.processes.filter(({ alive }) => alive);
    const truth = living.filter(({ generation }) => generation !== null);
    const expected = truth.map(({ name, incarnation }) => `${name} ${incarnation} serving`).sort();
    return living.flatMap(({ name, state }) => {
      const seen = viewOf(state)
        .members.filter((member) => member.state !== 'dead')
        .map((member) => `${member.id} ${member.incarnation} ${member.state}`)
        .sort();
      return seen.join() === expected.join() ? [] : [`${name} sees ${seen.join()} instead of ${expected.join()}`];
    });
  }

  private reconnect(process: Process): void {
    process.cutAtMs = null;
    const found = () => {
      [process.sends, process.receives] = [true, true];
      if (!process.busLost) return;
      process.busLost = false;
      this.reach(process, () => this.step(process, { type: 'busFound' }));
    };
    this.after(process.busLost ? 1_500 * this.random() : 0, () => process.cutAtMs === null && found());
  }

  private of(name: string): Process {
    return this.processes.findLast((process) => process.name === name)!;
  }

  private add(name: string, generation: number | null): void {
    const incarnation = `${Math.floor(this.random() * 1_000)}-${++this.incarnations}`;
    const process = new Process(name, incarnation, generation, this.nowMs);
    this.processes.push(process);
    this.announce(process);
    this.after(TICK_MS * this.random(), () => this.tick(process, 0));
  }

  private tick(process: Process, count: number): void {
    if (!process.alive) return;
    this.after(TICK_MS, () => this.tick(process, count + 1));
    if (process.paused) return;
    this.step(process, { type: 'tick' });
    if (this.options.mutant === 'never suspects itself') this.step(process, { type: 'echoed' });
    else this.carry(process, process, { type: 'echoed' });
    if (count % 2 === 0) this.announce(process);
  }

  private announce(process: Process): void {
    const { says } = process;
    if (says === null) return;
    this.step(process, { type: 'announced', announcement: says });
    for (const other of this.processes) this.carry(process, other, { type: 'announced', announcement: says });
  }

  /** Carries a message over the bus. */
  private carry(from: Process, to: Process, event: MembershipEvent): void {
    if (!from.sends || this.random() < this.loss) return;
    this.after(1 + 30 * this.random(), () => {
      if (to.receives) this.reach(to, () => this.step(to, event));
    });
  }

  private reach(to: Process, run: () => void): void {
    if (!to.alive) return;
    if (to.paused) to.backlog.push(run);
    else run();
  }

  private step(process: Process, event: MembershipEvent): void {
    if (!process.alive || process.paused) return;
    const { state, effects } = step(process.state, event, this.nowMs);
    process.state = state;
    for (const effect of effects) this.follow(process, effect);
  }

  private follow(process: Process, effect: MembershipEffect): void {
    if (effect.type === 'probe') this.probe(process, effect.id, effect.incarnation);
    if (effect.type === 'raised') this.announce(process);
    if (effect.type === 'refused' && effect.latest !== null) this.refuse(process, effect, effect.latest);
    if (effect.type !== 'dead') return;
    this.deaths++;
    if (effect.id === process.name && effect.incarnation === process.incarnation) this.end(process, effect.cause);
    else if (effect.cause !== 'fenced' && process.cutAtMs !== null && this.nowMs - process.cutAtMs > KNOWS_MS)
      this.violations.push(`${process.name} buried ${effect.id} at ${this.nowMs}, though it was cut off itself`);
  }

  /** A process ends itself. That is right only if another process has its ID: a later one, if the fleet can tell which that is. */
  private end(process: Process, why: string): void {
    process.alive = false;
    process.ended = true;
    const others = this.processes.filter(({ name, ended }) => !ended && name === process.name);
    if (this.options.counter ? this.of(process.name) === process : others.length === 0)
      this.violations.push(`${process.name} ended at ${this.nowMs} because of ${why}, though it was healthy`);
  }

  private refuse(from: Process, { id, incarnation }: { id: string; incarnation: string }, latest: Rank): void {
    for (const to of this.processes) {
      if (to.name !== id || to.incarnation !== incarnation) continue;
      if (this.options.mutant !== 'obeys one refusal') this.carry(from, to, { type: 'refusedBy', latest });
      else if (from.sends && to.receives) this.reach(to, () => this.end(to, 'a refusal'));
    }
  }

  private probe(from: Process, id: string, incarnation: string): void {
    const to = this.processes.find((process) => process.name === id && process.incarnation === incarnation)!;
    const answer = (type: 'probeAnswered' | 'probeFailed', ms: number) =>
      this.after(ms, () => this.reach(from, () => this.step(from, { type, id, incarnation })));
    if (!this.reaches(from, to) || !this.reaches(to, from) || to.paused) answer('probeFailed', PROBE_TIMEOUT_MS);
    else answer(to.alive ? 'probeAnswered' : 'probeFailed', 1 + 30 * this.random());
  }

  private reaches(from: Process, to: Process): boolean {
    const isolated = [from, to].some(({ cutAtMs, sends, receives }) => cutAtMs !== null && !sends && !receives);
    return !isolated && !this.severed.has(`${from.name} ${to.name}`);
  }

  private linkCloses(at: Process, to: Process, also?: Process): void {
    const { name: id, incarnation } = to;
    if (at !== to) this.after(5, () => this.reach(at, () => this.step(at, { type: 'linkClosed', id, incarnation })));
    if (also === undefined || at === also) return;
    const back = { type: 'linkClosed' as const, id: at.name, incarnation: at.incarnation };
    this.after(5, () => this.reach(also, () => this.step(also, back)));
  }

  private after(ms: number, run: () => void): void {
    this.due.push({ atMs: this.nowMs + ms, order: this.order++, run });
  }
}

function before(a: Due, b: Due): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
