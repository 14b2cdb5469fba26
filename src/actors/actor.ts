import type { Clock, Timer } from '../clock.js';
import { InternalError, InvalidRequest, Overloaded, Refused, ShoalError, Unavailable } from '../errors.js';
import { accepts } from '../wire/accepts.js';
import type { ObserveActors } from './event.js';
import type { IncomingCall } from './incoming-call.js';
import type { Call, Protocol } from './protocol.js';
import { afterCrash, DEFAULT_RESTART_POLICY } from './restart-policy.js';
import type { SpawnOptions } from './spawn-options.js';

/** An actor with its mailbox and supervisor, and one life of an actor between two crashes. */

const NO_CRASHES: readonly number[] = [];

/** The user's behavior without its types, which `spawn` has checked. */
export type AnyBehavior = Readonly<Record<string, (request: never, call: Call) => unknown>>;

export interface ActorSettings {
  readonly name: string;
  readonly protocol: Protocol;
  /** Given to `create` of the owner. */
  readonly factory: unknown;
  readonly mailbox: number;
  /** Calls that are handled at a time. */
  readonly concurrency: number;
  /** Null: the default. */
  readonly supervision: NonNullable<SpawnOptions['supervision']> | null;
  readonly owner: Supervisor;
}

/** What the actors of a system share. */
export interface Supervisor {
  /** Makes the behavior of a new life. */
  readonly create: (settings: ActorSettings, life: Life) => Promise<AnyBehavior>;
  readonly clock: Clock;
  readonly observe: ObserveActors;
  /** An actor crashed too often, and has ended. */
  readonly gaveUp: (actor: Actor) => void;
}

/** One life of an actor, from its creation to its crash or stop. What few lives need is made when it is asked for: a node may have many actors. */
export class Life {
  behavior: AnyBehavior | null = null;
  /** Calls that are being handled, at most the actor's `concurrency`. */
  handling = 0;
  /** Calls that this life has begun to handle; null for none. */
  private calls: Set<IncomingCall> | null = null;
  private abort: AbortController | null = null;
  private releases: (() => void | Promise<void>)[] | null = null;
  private ended: Unavailable | null = null;

  constructor(private readonly actor: Actor) {}

  get signal(): AbortSignal {
    this.abort ??= new AbortController();
    if (this.ended) this.abort.abort(this.ended);
    return this.abort.signal;
  }

  began(call: IncomingCall): void {
    this.calls ??= new Set();
    this.calls.add(call);
  }

  settled(call: IncomingCall): void {
    this.calls?.delete(call);
    if (this.calls?.size === 0) this.calls = null;
  }

  /** Registers a function to run when this life ends; runs it now if this life has ended. */
  onStop(release: () => void | Promise<void>): void {
    this.releases ??= [];
    this.releases.push(release);
    if (this.ended) void this.releaseAll();
  }

  /** Fails the running calls, then runs the registered functions in reverse order. */
  async end(reason: Unavailable): Promise<void> {
    this.ended = reason;
    this.abort?.abort(reason);
    for (const call of [...(this.calls ?? [])]) call.fail(reason);
    await this.releaseAll();
  }

  private async releaseAll(): Promise<void> {
    const { releases } = this;
    for (let release = releases?.pop(); release; release = releases?.pop()) {
      try {
        await release();
      } catch (error) {
        this.actor.releaseFailed(error);
      }
    }
  }
}

/** A call that waits or runs, and its request as the protocol has checked it. */
type Checked = readonly [call: IncomingCall, request: unknown];

/** An actor, its mailbox and its supervisor. Messages wait in the mailbox while the actor is busy or restarting. */
export class Actor {
  /** Null while nothing waits. */
  private waiting: Map<IncomingCall, unknown> | null = null;
  private life: Life | null = null;
  private crashesMs: readonly number[] = NO_CRASHES;
  private restart: Timer | null = null;
  private ending: Promise<void> | null = null;
  private ended: Unavailable | null = null;

  constructor(readonly settings: ActorSettings) {}

  get name(): string {
    return this.settings.name;
  }

  /** Calls in the mailbox. */
  get waitingCalls(): number {
    return this.waiting?.size ?? 0;
  }

  /** Starts the first life. Rejects with the error of the factory. */
  async start(): Promise<void> {
    const life = this.newLife();
    life.behavior = await this.settings.owner.create(this.settings, life);
    if (this.ended) throw this.ended;
    this.workOff(life);
  }

  /** Handles a call, puts it into the mailbox, or fails it at once. */
  offer(call: IncomingCall): void {
    const { name, mailbox } = this.settings;
    try {
      if (this.ended) throw this.ended;
      if (this.waitingCalls >= mailbox)
        throw new Overloaded(`cannot queue a message for ${name}: its mailbox of ${mailbox} messages is full`);
      const request = this.check(call);
      const { life } = this;
      if (life?.behavior && this.waiting === null && life.handling < this.settings.concurrency)
        void this.work(life, [call, request]);
      else this.queue(call, request);
    } catch (error) {
      call.fail(error as ShoalError);
    }
  }

  /** Ends the actor. Waiting and running calls fail with `reason`. Resolves when all `onStop` functions have finished. Idempotent. */
  async stop(reason: Unavailable): Promise<void> {
    if (!this.ended) {
      this.ended = reason;
      this.restart?.cancel();
      for (const call of [...(this.waiting?.keys() ?? [])]) call.fail(reason);
      this.endLife(reason);
    }
    await this.ending;
  }

  /** A function that a life had registered threw. */
  releaseFailed(error: unknown): void {
    const { name, owner } = this.settings;
    owner.observe({ type: 'stopFailed', actor: name, error });
  }

  private queue(call: IncomingCall, request: unknown): void {
    this.waiting ??= new Map();
    this.waiting.set(call, request);
    call.onSettled = () => this.unqueue(call);
  }

  private unqueue(call: IncomingCall): void {
    this.waiting?.delete(call);
    if (this.waiting?.size === 0) this.waiting = null;
  }

  /** Takes the oldest call out of the mailbox. */
  private next(): Checked | undefined {
    const [next] = this.waiting ?? [];
    if (next) this.unqueue(next[0]);
    return next;
  }

  private newLife(): Life {
    this.life = new Life(this);
    return this.life;
  }

  private endLife(reason: Unavailable): void {
    const { life } = this;
    this.life = null;
    if (life) this.ending = life.end(reason);
  }

  /** Validates a call against the protocol. Returns the parsed request. */
  private check({ message, route }: IncomingCall): unknown {
    const { name, protocol } = this.settings;
    const { method, kind } = message;
    const definition = Object.hasOwn(protocol.methods, method) ? protocol.methods[method] : undefined;
    if (message.protocol !== protocol.name || definition?.kind !== kind) {
      const called = `${kind} ${message.protocol}.${method}`;
      throw new Refused(`cannot call ${called} of the actor ${name}: its protocol ${protocol.name} has no such method`);
    }
    // A request from this node is the caller's own object, which the schema copies.
    if (route.kind !== 'local' && accepts(definition.request, message.request)) return message.request;
    const parsed = definition.request.safeParse(message.request);
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    const param = issue?.path.join('.') ?? '';
    const field = param ? `${param}: ` : '';
    throw new InvalidRequest(
      `${field}request is not valid for ${protocol.name}.${method}: ${issue?.message}`,
      param || undefined,
    );
  }

  /** Handles what waits in the mailbox. */
  private workOff(life: Life): void {
    while (this.life === life && life.handling < this.settings.concurrency) {
      const next = this.next();
      if (!next) return;
      void this.work(life, next);
    }
  }

  /** Handles one call after the other, beginning with the given one, until none waits. */
  private async work(life: Life, first: Checked): Promise<void> {
    life.handling++;
    for (let next: Checked | undefined = first; next; next = this.life === life ? this.next() : undefined)
      await this.handle(life, ...next);
    life.handling--;
  }

  private async handle(life: Life, call: IncomingCall, request: unknown): Promise<void> {
    const { method, kind } = call.message;
    life.began(call);
    call.onSettled = () => life.settled(call);
    try {
      const handler = life.behavior?.[method] as ((request: unknown, call: Call) => unknown) | undefined;
      if (!handler) throw new InternalError(`the actor ${this.settings.name} has no handler for ${method}`);
      const result = await Reflect.apply(handler, life.behavior, [request, call.call]);
      if (kind === 'stream') call.stream(asIterable(result, method), (error) => this.handlerThrew(life, call, error));
      else call.answer(result);
    } catch (error) {
      this.handlerThrew(life, call, error);
    }
  }

  private handlerThrew(life: Life, call: IncomingCall, error: unknown): void {
    // A handler whose call was aborted may throw any error; it is not a crash.
    if (!call.wanted) return;
    const expected = error instanceof ShoalError && !(error instanceof InternalError);
    call.failWith(error, expected ? error : new InternalError(`the actor ${this.settings.name} crashed`));
    if (!expected) this.crash(life, error);
  }

  private crash(life: Life, error: unknown): void {
    if (this.life !== life) return;
    const { name, owner, supervision } = this.settings;
    const { clock, observe } = owner;
    this.endLife(new Unavailable(`the actor ${name} crashed`));
    const decision = afterCrash({ ...DEFAULT_RESTART_POLICY, ...supervision }, this.crashesMs, clock.now());
    this.crashesMs = decision.crashesMs;
    const restartAfterMs = decision.kind === 'restart' ? decision.afterMs : null;
    observe({ type: 'crashed', actor: name, error, restartAfterMs });
    if (restartAfterMs !== null) {
      const { ending } = this;
      this.restart = clock.after(restartAfterMs, () => void ending?.then(() => this.startAgain()));
      return;
    }
    const crashes = decision.crashesMs.length;
    void this.stop(new Unavailable(`the actor ${name} crashed ${crashes} times and is not restarted`));
    observe({ type: 'gaveUp', actor: name, error });
    owner.gaveUp(this);
    supervision?.onGiveUp?.(error);
  }

  private async startAgain(): Promise<void> {
    if (this.ended) return;
    const life = this.newLife();
    try {
      life.behavior = await this.settings.owner.create(this.settings, life);
    } catch (error) {
      this.crash(life, error);
    }
    this.workOff(life);
  }
}

function asIterable(value: unknown, method: string): AsyncIterable<unknown> {
  if (typeof value === 'object' && value !== null && Symbol.asyncIterator in value)
    return value as AsyncIterable<unknown>;
  throw new InternalError(`the handler of the stream ${method} must return an async iterable`);
}
