import type { CallOptions } from '../../actors/outgoing-call.js';
import { abortReason } from '../../async/abort.js';
import { DeadlineExceeded, Overloaded, Unavailable } from '../../errors.js';
import type { NodeView } from '../core/node-view.js';
import type { CodeDemand } from '../core/scheduler.js';
import type { RuntimeMember } from '../member/member.js';
import { HOST_ACTOR, HostProtocol, type TaskCall } from '../messages.js';
import type { ActorCalls } from './actor-calls.js';
import { hostedFor, place } from './placing.js';

/** Runs functions on nodes. */

export interface WantedTask {
  readonly demand: CodeDemand;
  readonly maxTaskRetries: number;
  readonly options: CallOptions;
}

export class TaskCalls {
  constructor(
    private readonly member: RuntimeMember,
    private readonly calls: ActorCalls,
  ) {}

  async run(wanted: WantedTask, args: readonly unknown[]): Promise<unknown> {
    const limit = new TimeLimit(this.member, wanted);
    try {
      const call = await this.prepare(wanted, args, limit.signal);
      const outcome = await this.attempts(wanted, call, limit.signal, (host, request) =>
        host.ask('run', request, { signal: limit.signal }),
      );
      return await this.calls.result(outcome);
    } finally {
      limit.end();
    }
  }

  /** A stream that fails after its first item is not repeated. */
  async *flow(wanted: WantedTask, args: readonly unknown[]): AsyncGenerator<unknown> {
    const limit = new TimeLimit(this.member, wanted);
    try {
      const call = await this.prepare(wanted, args, limit.signal);
      const begun = await this.attempts(wanted, call, limit.signal, async (host, request) => {
        const items = host.stream('flow', request, { signal: limit.signal })[Symbol.asyncIterator]();
        return { items, first: await items.next() };
      });
      const { items } = begun;
      try {
        for (let next = begun.first; !next.done; next = await items.next()) yield await this.calls.result(next.value);
      } finally {
        await items.return?.();
      }
    } finally {
      limit.end();
    }
  }

  private async prepare({ demand }: WantedTask, args: readonly unknown[], signal: AbortSignal): Promise<TaskCall> {
    const trace = this.calls.trace(null);
    const packed = this.calls.values.pack(args);
    const { version } = await hostedFor(this.member, demand, signal);
    return { function: demand.name, version, args: packed, resources: demand.resources, trace };
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
        const placed = await place(this.member, pinned, async (node) => ask(await this.hostAt(node), request), signal);
        return placed.value;
      } catch (error) {
        if (signal.aborted) throw abortReason(signal);
        if (!(error instanceof Unavailable) || error instanceof Overloaded || attempt >= maxTaskRetries) throw error;
      }
    }
  }

  private async hostAt(node: NodeView) {
    await this.member.linked({ node: node.id, incarnation: node.incarnation });
    return this.host(node);
  }

  private host({ id, incarnation }: NodeView) {
    return this.member.actors.ref(HostProtocol, { node: id, incarnation, actor: HOST_ACTOR });
  }
}

/** The signal of a task: aborts with the caller's, and when the time is over. */
class TimeLimit {
  private readonly abort = new AbortController();
  private readonly release: () => void;

  constructor({ options: { clock } }: RuntimeMember, { demand, options: { signal, timeoutMs } }: WantedTask) {
    const onAbort = () => this.abort.abort(signal && abortReason(signal));
    const late = new DeadlineExceeded(`the task ${demand.name} did not finish within ${timeoutMs} ms`);
    const timer = timeoutMs === undefined ? null : clock.after(timeoutMs, () => this.abort.abort(late));
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
