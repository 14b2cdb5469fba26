import type { Clock } from '../../src/clock.js';
import type { Claims } from './claims.js';
import type { RequestName } from './request-name.js';
import type { Suspicions } from './suspicions.js';
import { instanceOf, type Trial } from './trial.js';
import type { Trials } from './trials.js';

/**
 * The workers on which suspects run alone. A suspect reserves a worker, for all coordinators, and is sent there once all that ran there has
 * ended. So a worker that dies meanwhile died of this suspect.
 */

/** How long after a placement a worker announces the request at the latest. Requests of other coordinators are known from announcements only. */
const UNANNOUNCED_MS = 100;
/** Age of a claim from which on the worker's announcements count instead. */
const CLAIM_ANNOUNCED_MS = 3_000;

export interface ProbationOptions {
  readonly clock: Clock;
  readonly claims: Claims;
  /** The number of workers that serve. */
  readonly serving: () => number;
  /** Whether the fleet has no other coordinator. */
  readonly alone: () => boolean;
  /** A worker may be free now. */
  readonly onFreed: () => void;
}

/** A worker that is reserved for a suspect. */
export interface ReservedWorker {
  readonly name: RequestName;
  readonly worker: string;
  readonly instance: string;
  readonly sinceMs: number;
}

export class Probation {
  /** By worker. */
  private readonly reservations = new Map<string, ReservedWorker>();
  /** By prompt, the number of its copies that wait for a worker. */
  private readonly queue = new Map<string, number>();
  /** By worker, whether it had requests when it last announced itself. */
  private readonly announced = new Map<string, { readonly instance: string; readonly busy: boolean; atMs: number }>();

  constructor(
    private readonly trials: Trials,
    private readonly suspicions: Suspicions,
    private readonly options: ProbationOptions,
  ) {}

  /** Records a worker's announcement. */
  hear(worker: string, incarnation: string, requests: number): void {
    const instance = instanceOf(worker, incarnation);
    this.announced.set(worker, { instance, busy: requests > 0, atMs: this.options.clock.now() });
    if (requests === 0 && this.reservations.has(worker)) this.options.onFreed();
  }

  gone(worker: string): void {
    this.announced.delete(worker);
  }

  /** The workers that are reserved for, or run, suspects other than this request, of any coordinator. */
  taken({ prompt, request }: RequestName): Set<string> {
    const taken = new Set<string>();
    for (const { worker, name } of this.reservations.values()) if (name.request !== request) taken.add(worker);
    for (const other of this.suspicions.suspects()) {
      for (const trial of this.suspectTrials(other)) if (trial.request !== request) taken.add(trial.worker);
      if (other === prompt) continue;
      for (const { worker, sinceMs } of this.options.claims.suspectClaims(other))
        if (!this.isIdleSince(worker, sinceMs + CLAIM_ANNOUNCED_MS)) taken.add(worker);
    }
    return taken;
  }

  /** The attempts of a prompt that belong to suspect requests. */
  suspectTrials(prompt: string): Trial[] {
    return [...this.trials.of(prompt)].filter(({ request }) => this.suspicions.isSuspect(prompt, request));
  }

  /**
   * Whether the suspect may reserve one more worker: at most half of the workers are on probation at a time, so that others continue. Suspects that
   * died with fewer tokens go first, because most crashes happen in the prefill, and a conviction frees all that ran with them.
   */
  mayReserve(name: RequestName): boolean {
    const { prompt } = name;
    const least = this.suspicions.leastFresh(prompt);
    const placed = new Set([...this.reservations.values()].map((reservation) => reservation.name.prompt));
    const ahead = [...this.queue.keys()].filter(
      (other) => this.suspicions.isSuspect(other) && !placed.has(other) && this.suspicions.leastFresh(other) < least,
    );
    return this.taken(name).size + ahead.length < Math.max(1, Math.floor(this.options.serving() / 2));
  }

  enqueue(prompt: string): void {
    this.queue.set(prompt, (this.queue.get(prompt) ?? 0) + 1);
  }

  dequeue(prompt: string): void {
    const copies = this.queue.get(prompt) ?? 0;
    if (copies > 1) this.queue.set(prompt, copies - 1);
    else this.queue.delete(prompt);
    this.options.onFreed();
  }

  /** Reserves a worker: nothing new is placed there from the call on. Resolves with null if another coordinator was first. */
  async reserve(name: RequestName, worker: string, incarnation: string): Promise<ReservedWorker | null> {
    const instance = instanceOf(worker, incarnation);
    const asked = { name, worker, instance, sinceMs: Number.POSITIVE_INFINITY };
    this.reservations.set(worker, asked);
    if (await this.options.claims.claim(name.prompt, worker, 1, true)) {
      const reservation = { ...asked, sinceMs: this.options.clock.now() };
      this.reservations.set(worker, reservation);
      return reservation;
    }
    this.reservations.delete(worker);
    this.options.onFreed();
    return null;
  }

  /** Whether nothing else runs on the reserved worker any more. */
  isAlone({ name, worker, instance, sinceMs }: ReservedWorker): boolean {
    for (const { request } of this.trials.on(instance)) if (request !== name.request) return false;
    const { claims, clock, alone } = this.options;
    if (claims.othersOn(worker, name.prompt, clock.now() - CLAIM_ANNOUNCED_MS)) return false;
    return alone() || this.isIdleSince(worker, sinceMs + UNANNOUNCED_MS);
  }

  /** Whether a worker appears to run nothing. */
  isIdle(worker: string, incarnation: string): boolean {
    const instance = instanceOf(worker, incarnation);
    if (this.trials.on(instance).size > 0) return false;
    const said = this.announced.get(worker);
    return said?.instance !== instance || !said.busy;
  }

  /** The prompt was placed on the worker: its trial has the claim from now on. */
  pass({ worker }: ReservedWorker, trial: Trial): void {
    this.reservations.delete(worker);
    trial.claim = trial.prompt;
  }

  release({ name, worker }: ReservedWorker): void {
    this.reservations.delete(worker);
    this.options.claims.release(name.prompt, worker);
    this.options.onFreed();
  }

  private isIdleSince(worker: string, sinceMs: number): boolean {
    const said = this.announced.get(worker);
    return said !== undefined && !said.busy && said.atMs >= sinceMs;
  }
}
