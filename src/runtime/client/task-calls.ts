import type { CallOptions } from '../../actors/outgoing-call.js';
import { abortReason } from '../../async/abort.js';
import { DeadlineExceeded, NoSuchActor, Unavailable } from '../../errors.js';
import { currentScope } from '../context.js';
import type { NodeView } from '../core/node-view.js';
import type { CodeDemand } from '../core/scheduler.js';
import { TaskLost } from '../errors.js';
import type { RuntimeMember } from '../member/member.js';
import { HOST_ACTOR, HostProtocol, type TaskCall, type WireValue } from '../messages.js';
import { ObjectRef } from '../objects/object-ref.js';
import type { ActorCalls } from './actor-calls.js';
import { hostedFor, place } from './placing.js';

/** Runs functions on nodes. */

export interface WantedTask {
  readonly demand: CodeDemand;
  readonly maxTaskRetries: number;
  /** Whether the result stays on the node, and the caller gets a reference to it. */
  readonly keep: boolean;
  readonly options: CallOptions;
}

export class TaskCalls {
  constructor(
    private readonly member: RuntimeMember,
    private readonly calls: ActorCalls,
  ) {}

  async run(wanted: WantedTask, args: readonly unknown[]): Promise<unknown> {
    const result = await this.begun(wanted, args, async (call, signal, onAnswer) => {
      const options = { signal, trace: traceNow(), label: `the task ${wanted.demand.name}` };
      const outcome = await this.attempts(wanted, call, signal, async (host, request) => {
        const answer = await host.ask('run', request, options);
        onAnswer(request);
        return answer;
      });
      return this.calls.result(outcome);
    });
    if (!(result instanceof ObjectRef) || !wanted.keep) return result;
    this.calls.values.objects.taken(result.address);
    const retriesLeft = wanted.maxTaskRetries - 1;
    if (retriesLeft < 0) return result;
    const again = async () => (await this.run({ ...wanted, maxTaskRetries: retriesLeft }, args)) as ObjectRef<unknown>;
    return result.recomputeBy(again);
  }

  /** A stream that fails after its first item is not repeated. */
  async *flow(wanted: WantedTask, args: readonly unknown[]): AsyncGenerator<unknown> {
    const limit = new TimeLimit(this.member, wanted);
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

  private async begun<T>(
    wanted: WantedTask,
    args: readonly unknown[],
    run: (call: TaskCall, signal: AbortSignal, onAnswer: (request: TaskCall) => void) => Promise<T>,
  ): Promise<T> {
    const limit = new TimeLimit(this.member, wanted);
    const packed = this.calls.values.packArguments(args);
    let isOver = false;
    const onAnswer = ({ trace }: TaskCall) => {
      // An earlier attempt that was lost may still run.
      isOver = trace.attempt === 0;
    };
    try {
      return await run(await this.prepare(wanted, packed.wire, limit.signal), limit.signal, onAnswer);
    } finally {
      packed.release(isOver);
      limit.end();
    }
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

/** The signal of a task: aborts with the caller's, and when the time is over. */
class TimeLimit {
  private readonly abort = new AbortController();
  private readonly release: () => void;

  constructor({ options: { clock } }: RuntimeMember, { demand, options: { signal, timeoutMs } }: WantedTask) {
    const onAbort = () => this.abort.abort(signal && abortReason(signal));
    const late = new DeadlineExceeded(`the task ${demand.name} did not finish within ${Math.round(timeoutMs ?? 0)} ms`);
    const isLimited = timeoutMs !== undefined && timeoutMs < Number.POSITIVE_INFINITY;
    const timer = isLimited && timeoutMs > 0 ? clock.after(timeoutMs, () => this.abort.abort(late)) : null;
    if (timeoutMs === 0) this.abort.abort(late);
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    this.release = () => {
      timer?.cancel();
      signal?.removeEventListener('abort', onAbort);
    };
  }

  get signal(): AbortSignal {
    return this.abort.signal;
  }

  end(): void {
    this.release();
  }
}
