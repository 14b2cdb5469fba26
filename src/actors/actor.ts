import type { Clock, Timer } from '../clock.js';
import { InternalError, InvalidRequest, Overloaded, Refused, ShoalError, Unavailable } from '../errors.js';
import type { CallMessage } from './envelope.js';
import type { ObserveActors } from './event.js';
import type { IncomingCall } from './incoming-call.js';
import type { Call, Protocol } from './protocol.js';
import { afterCrash, type RestartPolicy } from './restart-policy.js';

/** An actor with its mailbox and supervisor, and one life of an actor between two crashes. */

/** The user's behavior without its types, which `spawn` has checked. */
export type AnyBehavior = Readonly<Record<string, (request: never, call: Call) => unknown>>;

export interface ActorSettings {
  readonly name: string;
  readonly protocol: Protocol;
  readonly create: (life: Life) => Promise<AnyBehavior>;
  readonly mailbox: number;
  /** Calls that are handled at a time. */
  readonly concurrency: number;
  readonly policy: RestartPolicy;
  readonly onGiveUp: (error: unknown) => void;
  readonly clock: Clock;
  readonly observe: ObserveActors;
}

/** One life of an actor, from its creation to its crash or stop. */
export class Life {
  /** Calls that this life has begun to handle. */
  readonly calls = new Set<IncomingCall>();
  behavior: AnyBehavior | null = null;
  /** Calls that are being handled, at most the actor's `concurrency`. */
  handling = 0;
  private readonly abort = new AbortController();
  private readonly releases: (() => void | Promise<void>)[] = [];

  constructor(private readonly onReleaseError: (error: unknown) => void) {}

  get signal(): AbortSignal {
    return this.abort.signal;
  }

  /** Registers a function to run when this life ends; runs it now if this life has ended. */
  onStop(release: () => void | Promise<void>): void {
    this.releases.push(release);
    if (this.signal.aborted) void this.releaseAll();
  }

  /** Fails the running calls, then runs the registered functions in reverse order. */
  async end(reason: Unavailable): Promise<void> {
    this.abort.abort(reason);
    for (const call of [...this.calls]) call.fail(reason);
    await this.releaseAll();
  }

  private async releaseAll(): Promise<void> {
    for (let release = this.releases.pop(); release; release = this.releases.pop()) {
      try {
        await release();
      } catch (error) {
        this.onReleaseError(error);
      }
    }
  }
}

/** An actor, its mailbox and its supervisor. Messages wait in the mailbox while the actor is busy or restarting. */
export class Actor {
  private readonly waiting = new Map<IncomingCall, unknown>();
  private life: Life | null = null;
  private crashesMs: readonly number[] = [];
  private restart: Timer | null = null;
  private ending: Promise<void> = Promise.resolve();
  private ended: Unavailable | null = null;

  constructor(private readonly settings: ActorSettings) {}

  /** Calls in the mailbox. */
  get waitingCalls(): number {
    return this.waiting.size;
  }

  /** Starts the first life. Rejects with the error of the factory. */
  async start(): Promise<void> {
    const life = this.newLife();
    life.behavior = await this.settings.create(life);
    if (this.ended) throw this.ended;
    void this.work(life);
  }

  /** Puts a call into the mailbox, or fails it at once. */
  offer(call: IncomingCall): void {
    const { name, mailbox } = this.settings;
    try {
      if (this.ended) throw this.ended;
      if (this.waiting.size >= mailbox)
        throw new Overloaded(`cannot queue a message for ${name}: its mailbox of ${mailbox} messages is full`);
      this.waiting.set(call, this.check(call.message));
    } catch (error) {
      call.fail(error as ShoalError);
      return;
    }
    call.onSettled = () => this.waiting.delete(call);
    if (this.life?.behavior) void this.work(this.life);
  }

  /** Ends the actor. Waiting and running calls fail with `reason`. Resolves when all `onStop` functions have finished. Idempotent. */
  async stop(reason: Unavailable): Promise<void> {
    if (!this.ended) {
      this.ended = reason;
      this.restart?.cancel();
      for (const call of [...this.waiting.keys()]) call.fail(reason);
      this.endLife(reason);
    }
    await this.ending;
  }

  private newLife(): Life {
    const { name, observe } = this.settings;
    this.life = new Life((error) => observe({ type: 'stopFailed', actor: name, error }));
    return this.life;
  }

  private endLife(reason: Unavailable): void {
    const { life } = this;
    this.life = null;
    if (life) this.ending = life.end(reason);
  }

  /** Validates a call against the protocol. Returns the parsed request. */
  private check(message: CallMessage): unknown {
    const { name, protocol } = this.settings;
    const { method, kind } = message;
    const definition = Object.hasOwn(protocol.methods, method) ? protocol.methods[method] : undefined;
    if (message.protocol !== protocol.name || definition?.kind !== kind) {
      const called = `${kind} ${message.protocol}.${method}`;
      throw new Refused(`cannot call ${called} of the actor ${name}: its protocol ${protocol.name} has no such method`);
    }
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

  private async work(life: Life): Promise<void> {
    if (life.handling >= this.settings.concurrency) return;
    life.handling++;
    while (this.life === life) {
      const [next] = this.waiting;
      if (!next) break;
      this.waiting.delete(next[0]);
      await this.handle(life, ...next);
    }
    life.handling--;
  }

  private async handle(life: Life, call: IncomingCall, request: unknown): Promise<void> {
    const { method, kind } = call.message;
    life.calls.add(call);
    call.onSettled = () => life.calls.delete(call);
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
    const { name, clock, policy, observe, onGiveUp } = this.settings;
    this.endLife(new Unavailable(`the actor ${name} crashed`));
    const decision = afterCrash(policy, this.crashesMs, clock.now());
    this.crashesMs = decision.crashesMs;
    const restartAfterMs = decision.kind === 'restart' ? decision.afterMs : null;
    observe({ type: 'crashed', actor: name, error, restartAfterMs });
    if (restartAfterMs !== null) {
      this.restart = clock.after(restartAfterMs, () => void this.ending.then(() => this.startAgain()));
      return;
    }
    const crashes = decision.crashesMs.length;
    void this.stop(new Unavailable(`the actor ${name} crashed ${crashes} times and is not restarted`));
    observe({ type: 'gaveUp', actor: name, error });
    onGiveUp(error);
  }

  private async startAgain(): Promise<void> {
    if (this.ended) return;
    const life = this.newLife();
    try {
      life.behavior = await this.settings.create(life);
    } catch (error) {
      this.crash(life, error);
    }
    await this.work(life);
  }
}

function asIterable(value: unknown, method: string): AsyncIterable<unknown> {
  if (typeof value === 'object' && value !== null && Symbol.asyncIterator in value)
    return value as AsyncIterable<unknown>;
  throw new InternalError(`the handler of the stream ${method} must return an async iterable`);
}
