import type { CallOptions } from '../../actors/outgoing-call.js';
import { abortReason } from '../../async/abort.js';
import { NoSuchActor, Unavailable } from '../../errors.js';
import { currentScope } from '../context.js';
import type { NodeView } from '../core/node-view.js';
import type { CodeDemand } from '../core/scheduler.js';
import { type ObjectLost, TaskLost } from '../errors.js';
import type { RuntimeMember } from '../member/member.js';
import { HOST_ACTOR, HostProtocol, type TaskCall, type WireValue } from '../messages.js';
import { ObjectRef } from '../objects/object-ref.js';
import type { ActorCalls } from './actor-calls.js';
import { hostedFor, place } from './placing.js';
import { TimeLimit } from './time-limit.js';

/** Runs functions on nodes. */

export interface WantedTask {
  readonly demand: CodeDemand;
  readonly maxTaskRetries: number;
  /** Whether the result stays on the node, and the caller gets a reference to it. */
  readonly keep: boolean;
  readonly options: CallOptions;
}

export class TaskCalls {
  private readonly lineages = new FinalizationRegistry<() => void>((end) => end());

  constructor(
    private readonly member: RuntimeMember,
    private readonly calls: ActorCalls,
  ) {}

  async run(wanted: WantedTask, args: readonly unknown[]): Promise<unknown> {
    const packed = this.calls.values.packArguments(args);
    let isLineage = false;
    let isOver = false;
    try {
      const result = await this.ran(wanted, packed.wire, ({ trace }) => {
        // An earlier attempt that was lost may still run.
        isOver = trace.attempt === 0;
      });
      if (!(result instanceof ObjectRef) || !wanted.keep || wanted.maxTaskRetries === 0) return result;
      isLineage = true;
      return this.withLineage(result, wanted, { wire: packed.wire, release: () => packed.release(isOver) });
    } finally {
      if (!isLineage) packed.release(isOver);
    }
  }

  /** Keeps the arguments as long as the reference to the result, so that it can be computed again, also when the caller has released them. */
  private withLineage<T>(
    ref: ObjectRef<T>,
    wanted: WantedTask,
    { wire, release }: { readonly wire: WireValue; release(): void },
  ): ObjectRef<T> {
    let retriesLeft = wanted.maxTaskRetries;
    let isOver = false;
    const end = () => {
      if (!isOver) release();
      isOver = true;
    };
    this.lineages.register(ref, end);
    const run = async (lost: ObjectLost) => {
      if (retriesLeft === 0) throw lost;
      retriesLeft--;
      return (await this.ran({ ...wanted, maxTaskRetries: retriesLeft }, wire)) as ObjectRef<T>;
    };
    return ref.recomputeBy({ run, release: end });
  }

  private async ran(
    wanted: WantedTask,
    args: WireValue,
    onAnswer: (request: TaskCall) => void = () => {},
  ): Promise<unknown> {
    const limit = this.limit(wanted);
    const { signal } = limit;
    const options = { signal, trace: traceNow(), label: `the task ${wanted.demand.name}` };
    try {
      const call = await this.prepare(wanted, args, signal);
      const outcome = await this.attempts(wanted, call, signal, async (host, request) => {
        const answer = await host.ask('run', request, options);
        onAnswer(request);
        return answer;
      });
      const result = await this.calls.result(outcome);
      if (wanted.keep && result instanceof ObjectRef) this.calls.values.objects.taken(result.address);
      return result;
    } finally {
      limit.end();
    }
  }

  /** A stream that fails after its first item is not repeated. */
  async *flow(wanted: WantedTask, args: readonly unknown[]): AsyncGenerator<unknown> {
    const limit = this.limit(wanted);
    const packed = this.calls.values.packArguments(args);
    const options = { signal: limit.signal, trace: traceNow(), label: `the task ${wanted.demand.name}` };
    let isOver = false;
    try {
      const call = await this.prepare(wanted, packed.wire, limit.signal);
      const begun = await this.attempts(wanted, call, limit.signal, async (host, request) => {
        const items = host.stream('flow', request, options)[Symbol.asyncIterator]();
        return { items, first: await items.next(), attempt: request.trace.attempt };
      });
      const { items } = begun;
      try {
        for (let next = begun.first; !next.done; next = await nextOf(wanted, items)) {
          yield await this.calls.result(next.value);
        }
        isOver = begun.attempt === 0;
      } finally {
        await items.return?.();
      }
    } finally {
      packed.release(isOver);
      limit.end();
    }
  }

  private limit({ demand, options }: WantedTask): TimeLimit {
    return new TimeLimit(this.member.options.clock, `the task ${demand.name} did not finish`, options);
  }

  private async prepare({ demand, keep }: WantedTask, args: WireValue, signal: AbortSignal): Promise<TaskCall> {
    const trace = this.calls.trace(null);
    const { version } = await hostedFor(this.member, demand, signal);
    const { name, resources, bundle } = demand;
    return { function: name, version, args, resources, bundle: bundle?.id ?? null, keep, trace };
  }

  /** Asks nodes until one has begun. A node that is lost while it runs the task costs a retry. */
  private async attempts<T>(
    { demand, maxTaskRetries }: WantedTask,
    call: TaskCall,
    signal: AbortSignal,
    ask: (host: ReturnType<TaskCalls['host']>, request: TaskCall) => Promise<T>,
  ): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        const request = { ...call, trace: { ...call.trace, attempt } };
        const pinned = { ...demand, version: call.version };
        const placed = await place(
          this.member,
          pinned,
          (node) => this.asked(node, (host) => ask(host, request)),
          signal,
        );
        return placed.value;
      } catch (error) {
        if (signal.aborted) throw abortReason(signal);
        if (!(error instanceof Unavailable)) throw error;
        if (attempt >= maxTaskRetries) throw lostTask(demand.name, error);
      }
    }
  }

  /** Asks one node. A node that does not answer is suspected, so that the next attempt goes to another. */
  private async asked<T>(node: NodeView, ask: (host: ReturnType<TaskCalls['host']>) => Promise<T>): Promise<T> {
    await this.member.linked({ node: node.id, incarnation: node.incarnation });
    try {
      return await ask(this.host(node));
    } catch (error) {
      if (error instanceof Unavailable) this.member.directory.suspect(node.incarnation);
      throw error;
    }
  }

  private host({ id, incarnation }: NodeView) {
    return this.member.actors.ref(HostProtocol, { node: id, incarnation, actor: HOST_ACTOR });
  }
}

/** The trace of the call that runs now, if any: the task is a part of it. */
function traceNow(): string | null {
  return currentScope()?.span.traceparent ?? null;
}

async function nextOf<T>({ demand }: WantedTask, items: AsyncIterator<T>): Promise<IteratorResult<T>> {
  try {
    return await items.next();
  } catch (error) {
    throw error instanceof Unavailable ? lostTask(demand.name, error) : error;
  }
}

function lostTask(name: string, cause: Unavailable): TaskLost {
  return new TaskLost(`lost the task ${name}: ${cause.message}`, !(cause instanceof NoSuchActor), { cause });
}
