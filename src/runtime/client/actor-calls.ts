import type { CallOptions } from '../../actors/outgoing-call.js';
import type { ActorRef } from '../../actors/ref.js';
import { DeadlineExceeded, NoSuchActor, Unavailable } from '../../errors.js';
import { currentScope } from '../context.js';
import { laneOf } from '../core/lane.js';
import type { ActorRecords } from '../detached/actor-records.js';
import type { Takeovers } from '../detached/takeover.js';
import { ActorDied, CallCircle, ObjectLost } from '../errors.js';
import type { RuntimeMember } from '../member/member.js';
import {
  CHAIN_CALLS,
  HOST_ACTOR,
  HostProtocol,
  InstanceProtocol,
  instanceActor,
  type MethodCall,
  type Outcome,
  type Trace,
} from '../messages.js';
import type { ProcessObjects } from '../objects/process-objects.js';
import { Departures } from './departures.js';
import type { HandleCalls, HandleState } from './handle.js';
import { type Location, Locations } from './locations.js';
import { MessageValues } from './values.js';

/** Calls of methods of actors, wherever the actors are: finds them, and finds them again after a restart. */

/** Times that an actor is looked for again after its node did not have it. Nothing has run then, so repeating is safe. */
const MISSES = 8;
/** Pause after a miss; doubles. The actor's owner may not know yet what its node knows. */
const MISS_PAUSE_MS = 10;

/** One call, over all its attempts. */
interface Attempts {
  readonly to: HandleState;
  readonly method: string;
  readonly options: CallOptions;
  readonly begunMs: number;
  misses: number;
  attempt: number;
  /** Where the attempt went; null while it is about to leave. */
  at: Location | null;
}

export class ActorCalls implements HandleCalls {
  readonly values: MessageValues;
  private readonly locations: Locations;
  private readonly departures = new Departures();
  private lastId = 0;

  constructor(
    private readonly member: RuntimeMember,
    objects: ProcessObjects,
    records: ActorRecords,
    takeovers: Takeovers,
  ) {
    this.values = new MessageValues(this, objects);
    this.locations = new Locations(member, records, takeovers);
  }

  /** Calls to one actor begin in the order in which they are made. */
  async call(to: HandleState, method: string, args: readonly unknown[], options: CallOptions): Promise<unknown> {
    const trace = this.trace(to, method);
    const packed = this.values.packArguments(args);
    const attempts = this.attempts(to, method, options);
    let isOver = false;
    try {
      for (;;) {
        let outcome: Outcome | null = null;
        try {
          const request = { method, args: packed.wire, trace: { ...trace, attempt: attempts.attempt } };
          outcome = await this.leave(attempts, (at) =>
            this.instance(to, method, at).ask('call', request, this.left(attempts)),
          );
          isOver = attempts.attempt === 0;
          return await this.result(outcome);
        } catch (error) {
          if (outcome !== null) requireLost(outcome, error, attempts);
          await this.again(attempts, error);
        }
      }
    } finally {
      packed.release(isOver);
    }
  }

  /** A stream that fails after its first item is not repeated. */
  async *flow(
    to: HandleState,
    method: string,
    args: readonly unknown[],
    options: CallOptions,
  ): AsyncGenerator<unknown> {
    const trace = this.trace(to, method);
    const packed = this.values.packArguments(args);
    const attempts = this.attempts(to, method, options);
    let items = 0;
    let isOver = false;
    try {
      for (;;) {
        let reading = false;
        try {
          const request = { method, args: packed.wire, trace: { ...trace, attempt: attempts.attempt } };
          const { items: outcomes } = await this.leave(attempts, (at) => ({
            items: this.instance(to, method, at).stream('flow', request, this.left(attempts))[Symbol.asyncIterator](),
          }));
          for await (const outcome of { [Symbol.asyncIterator]: () => outcomes }) {
            items++;
            reading = true;
            yield await this.result(outcome);
            reading = false;
          }
          isOver = attempts.attempt === 0;
          return;
        } catch (error) {
          // The method failed, an item cannot be read, or the reader has had enough.
          if (reading) throw error;
          if (items > 0) throw lostStream(named(error, attempts), attempts, items);
          await this.again(attempts, error);
        }
      }
    } finally {
      packed.release(isOver);
    }
  }

  send(to: HandleState, method: string, args: readonly unknown[]): void {
    this.member.requireOpen();
    const { wire, hasRefs, release } = this.values.packArguments(args);
    const trace = { id: this.newId(), attempt: 0, chain: [] };
    const request: MethodCall = { method, args: wire, trace };
    // A call needs its references until its end.
    if (hasRefs) {
      this.sendKept(to, request, release);
      return;
    }
    const sent = this.leave(this.attempts(to, method, {}), (at) => this.instance(to, method, at).tell('send', request));
    sent?.catch(({ message }: Error) => this.member.pacedLog.warn({ method, message }, 'a sent call was lost'));
  }

  private sendKept(to: HandleState, request: MethodCall, release: (isOver: boolean) => void): void {
    const { method } = request;
    let isOver = false;
    const whole = async () => {
      const outcome = await this.leave(this.attempts(to, method, {}), (at) =>
        this.instance(to, method, at).ask('call', request),
      );
      isOver = true;
      await this.result(outcome);
    };
    whole()
      .catch(({ message }: Error) => this.member.pacedLog.warn({ method, message }, 'a sent call was lost, or failed'))
      .finally(() => release(isOver));
  }

  /**
   * Ends an actor, also one that is elsewhere meanwhile.
   * @throws ActorDied if it was dead already, Unavailable if its node does not answer, or does not have it though it should
   */
  async kill(to: HandleState, { restart = false }: { readonly restart?: boolean }): Promise<void> {
    const { actors, directory } = this.member;
    for (let misses = 0; ; misses++) {
      const at = await this.locate(to).catch((error: unknown) => {
        // It has ended meanwhile.
        if (misses > 0 && error instanceof ActorDied) return null;
        throw error;
      });
      if (at === null) return;
      const host = actors.ref(HostProtocol, { ...at.node, actor: HOST_ACTOR });
      try {
        const { known } = await host.ask('kill', { id: to.id, restart, epoch: null });
        // The owner of an actor may not have heard yet that it ended.
        if (known || (misses >= MISSES && to.owner !== null)) return;
        if (misses >= MISSES) throw new Unavailable(`cannot end the actor ${to.class} ${to.id}: it cannot be found`);
      } catch (error) {
        if (misses >= MISSES || !(error instanceof Unavailable)) throw error;
        directory.suspect(at.node.incarnation);
        await directory.judged(at.node.incarnation, {});
      } finally {
        this.locations.forget(to.id, at);
      }
      await this.pause(MISS_PAUSE_MS * 2 ** misses);
    }
  }

  /** Where an actor is. Throws the errors of `Locations.find`. */
  async locate(to: HandleState): Promise<Location> {
    return this.locations.last(to.id) ?? (await this.locations.find(to, {}));
  }

  /** The value of an outcome. Rethrows the error of the user's code. */
  async result(outcome: Outcome): Promise<unknown> {
    if (outcome.type === 'threw') throw this.values.errors.rebuild(outcome.error);
    return this.values.unpackResult(outcome.value);
  }

  /** An id that no other process of the fleet gives. */
  newId(): string {
    return `${this.member.self.incarnation}-${++this.lastId}`;
  }

  /** The trace of a call that the running code makes. `to`: the actor whose method it calls, if any. */
  trace(to: HandleState | null, method = ''): Trace {
    this.member.requireOpen();
    const scope = currentScope();
    const chain = scope && !scope.isOver ? scope.trace.chain : [];
    const lane = to && laneOf(to, method);
    if (to && lane && chain.filter((name) => name === lane.name).length >= lane.max) {
      const remedy = 'raise its maxConcurrency, or use $send, which waits for no answer';
      throw new CallCircle(`cannot call ${to.class}: the call would wait for a method that waits for it; ${remedy}`);
    }
    if (chain.length < CHAIN_CALLS) return { id: this.newId(), attempt: 0, chain: [...chain] };
    throw new CallCircle(`cannot make a call: ${CHAIN_CALLS} calls wait for each other already`);
  }

  /** Lets a call leave for where the actor is: at once if possible, and after all earlier calls of this process to the actor in any case. */
  private leave<R>(attempts: Attempts, send: (at: Location) => R): R | Promise<Awaited<R>> {
    const { to } = attempts;
    const depart = (at: Location) => {
      attempts.at = at;
      return send(at);
    };
    attempts.at = null;
    const near = this.near(to);
    if (near && this.departures.isFree(to.id)) return depart(near);
    const found = near ? Promise.resolve(near) : this.locations.find(to, this.left(attempts));
    return this.departures.leave(to.id, found, depart);
  }

  /** Where the actor is, if a call to it can leave at once. */
  private near(to: HandleState): Location | null {
    const last = this.locations.last(to.id);
    return last && this.member.isLinked(last.node) ? last : null;
  }

  private attempts(to: HandleState, method: string, options: CallOptions): Attempts {
    // The call is a part of the trace of the call that makes it.
    const trace = options.trace ?? currentScope()?.span.traceparent ?? null;
    const label = `${to.class}.${method}`;
    const traced = trace === null ? { ...options, label } : { ...options, label, trace };
    return { to, method, options: traced, begunMs: this.member.options.clock.now(), misses: 0, attempt: 0, at: null };
  }

  /** The options of the next attempt, with the time that is left. */
  private left({ options, begunMs }: Attempts): CallOptions {
    if (options.timeoutMs === undefined) return options;
    const leftMs = Math.max(0, options.timeoutMs - (this.member.options.clock.now() - begunMs));
    return { ...options, timeoutMs: leftMs };
  }

  private instance(to: HandleState, method: string, { node }: Location): ActorRef<typeof InstanceProtocol> {
    return this.member.actors.ref(InstanceProtocol, { ...node, actor: instanceActor(laneOf(to, method).name) });
  }

  /** Returns if the call should be repeated; else throws. */
  private async again(attempts: Attempts, error: unknown): Promise<void> {
    const { to, method, at } = attempts;
    // It has not left: nobody knows where the actor is.
    if (at === null) throw named(error, attempts);
    if (!(error instanceof Unavailable) || error instanceof ActorDied) throw named(error, attempts);
    this.locations.forget(to.id, at);
    if (error instanceof NoSuchActor) {
      if (attempts.misses++ >= MISSES)
        throw new ActorDied(
          `cannot find the actor ${to.class} ${to.id}: its node no longer has it, as when the process that created it has ended or was silent for too long; create it again`,
          false,
        );
      await this.pause(MISS_PAUSE_MS * 2 ** attempts.misses);
      return;
    }
    if (attempts.attempt++ >= to.maxTaskRetries) {
      throw new ActorDied(`lost the actor ${to.class} during ${method}: ${error.message}`, true);
    }
    // Until the directory drops the lost node, the next attempt would be lost there too.
    const { directory } = this.member;
    directory.suspect(at.node.incarnation);
    await directory.judged(at.node.incarnation, this.left(attempts));
  }

  private pause(timeMs: number): Promise<void> {
    return new Promise((resolve) => this.member.options.clock.after(timeMs, resolve));
  }
}

/** An attempt had only the rest of the time that the caller gave, and its error may name a part of the runtime. */
function named(error: unknown, { options: { label, timeoutMs } }: Attempts): unknown {
  if (!(error instanceof DeadlineExceeded) || timeoutMs === undefined) return error;
  return new DeadlineExceeded(`${label} did not finish within ${Math.round(timeoutMs)} ms`);
}

/** The error of a stream that broke off after its first items. */
function lostStream(error: unknown, { to, method }: Attempts, items: number): unknown {
  if (!(error instanceof Unavailable) || error instanceof ActorDied) return error;
  return new ActorDied(`lost the actor ${to.class} during ${method} after item ${items}: ${error.message}`, true);
}

/**
 * Returns if the result of a call was lost with the process that had it, so that the call is lost too. After any other error the actor lives, and the call
 * must not be repeated: its code has failed, or its result cannot be read.
 */
function requireLost(outcome: Outcome, error: unknown, { to, method }: Attempts): void {
  if (outcome.type === 'threw' || !(error instanceof Unavailable)) throw error;
  if (error instanceof ObjectLost) return;
  throw new Unavailable(`${to.class}.${method} has run, but its result cannot be read: ${error.message}`, {
    cause: error,
  });
}
