import type { Behavior, Call } from '../../actors/protocol.js';
import type { NodeGrant } from '../core/node-resources.js';
import type { Library } from '../library.js';
import type { HostProtocol, Outcome, TaskCall, TaskEntry } from '../messages.js';
import type { InstanceHost } from './instance.js';
import { type Invocation, invoke, invokeStream, thrownIn } from './invocation.js';
import { checkedCall, functionSchema } from './schemas.js';

/** The tasks of a node: runs functions of its library. */

export interface NodeTasksOptions {
  readonly host: InstanceHost;
  readonly library: Library;
  /** Takes the resources of a task. @throws Overloaded if they are not free */
  readonly grant: (call: TaskCall) => NodeGrant;
  readonly release: (grant: NodeGrant) => void;
}

interface RunningTask {
  readonly call: TaskCall;
  readonly startedMs: number;
}

export class NodeTasks implements Pick<Behavior<typeof HostProtocol>, 'run' | 'flow'> {
  private readonly running = new Set<RunningTask>();

  constructor(private readonly options: NodeTasksOptions) {}

  get size(): number {
    return this.running.size;
  }

  async run(request: TaskCall, call: Call): Promise<Outcome> {
    const task = this.begin(request, call);
    let outcome: Outcome | null = null;
    try {
      outcome = await invoke(task.invocation, request.args, this.functionOf(request), request.keep);
      return outcome;
    } finally {
      task.end(outcome);
    }
  }

  async *flow(request: TaskCall, call: Call): AsyncGenerator<Outcome> {
    const task = this.begin(request, call);
    let last: Outcome | null = null;
    try {
      for await (last of invokeStream(task.invocation, request.args, this.functionOf(request))) yield last;
    } finally {
      task.end(last);
    }
  }

  describe(): TaskEntry[] {
    const { clock, node } = this.options.host;
    const nowMs = clock.now();
    return [...this.running].map(({ call, startedMs }) => {
      const { id, attempt } = call.trace;
      return { id, function: call.function, node, attempt, runningMs: nowMs - startedMs };
    });
  }

  private functionOf({ function: name, version }: TaskCall): (args: readonly unknown[]) => unknown {
    const run = this.options.library.functionOf(name, version);
    return (args) => checkedCall(functionSchema(run), name, args, (given) => Reflect.apply(run, undefined, given));
  }

  private begin(request: TaskCall, call: Call): { invocation: Invocation; end: (outcome: Outcome | null) => void } {
    const { host, grant, release } = this.options;
    const granted = grant(request);
    const task = { call: request, startedMs: host.clock.now() };
    this.running.add(task);
    const attributes = { 'rpc.system': 'shoal', 'rpc.method': request.function };
    const span = host.tracer.start(request.function, call.trace, attributes, 'server');
    const { gpuIds } = granted;
    return {
      invocation: { fleet: host.fleet, self: null, gpuIds, trace: request.trace, call, span, printer: null },
      end: (outcome) => {
        this.running.delete(task);
        release(granted);
        const tookMs = host.clock.now() - task.startedMs;
        const end = outcome?.type === 'threw' ? 'threw' : 'ok';
        host.observer.ran(request.function, { outcome: end, waitedMs: call.waitedMs, tookMs });
        span.end(outcome === null ? undefined : thrownIn(outcome));
      },
    };
  }
}
