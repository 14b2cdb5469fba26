import type { Clock } from '../../src/clock.js';
import type { ActorRow, ActorsAnswer, RuntimeNodeRow, TaskRow } from '../../src/console/table-answers.js';
import type { NodeView } from '../../src/runtime/core/node-view.js';
import type { InstanceEntry, TaskEntry } from '../../src/runtime/messages.js';
import type { RuntimeView } from '../runtime/runtime-view.js';

/** The actors and tasks on the nodes of the runtime, for the console. */

/** Actors, and tasks, of one answer. */
const LISTED = 4_096;
/** All requests within this time share one answer. */
const AGE_MS = 1_000;
/** Names of classes and functions of one node. */
const NAMES = 32;

export class RuntimeSurvey {
  private latest: { readonly atMs: number; readonly answer: Promise<ActorsAnswer> } | null = null;

  constructor(
    private readonly view: Pick<RuntimeView, 'nodes' | 'actors' | 'tasks'>,
    private readonly clock: Pick<Clock, 'now'>,
  ) {}

  /** Asks all nodes what runs on them. Nodes that do not answer are named. */
  answer(): Promise<ActorsAnswer> {
    const atMs = this.clock.now();
    if (this.latest === null || atMs - this.latest.atMs >= AGE_MS) this.latest = { atMs, answer: this.ask() };
    return this.latest.answer;
  }

  private async ask(): Promise<ActorsAnswer> {
    const { view } = this;
    const [actors, tasks] = await Promise.all([view.actors(), view.tasks()]);
    return {
      nodes: view.nodes().map(nodeRow),
      actors: actors.entries.slice(0, LISTED).map(actorRow),
      tasks: tasks.entries.slice(0, LISTED).map(taskRow),
      silent: [...new Set([...actors.silent, ...tasks.silent])],
      more: actors.entries.length > LISTED || tasks.entries.length > LISTED,
    };
  }
}

function nodeRow({ id, kind, host, pid, worker, actors, tasks, exports }: NodeView): RuntimeNodeRow {
  const hosts = exports.slice(0, NAMES).map(({ name }) => name);
  return { id, kind, host, pid, worker, actors, tasks, hosts };
}

function actorRow(entry: InstanceEntry): ActorRow {
  const { id, name, namespace, lifetime, node, restarts, running, calls, errors } = entry;
  return { id, class: entry.class, name, namespace, lifetime, node, restarts, running, calls, errors };
}

function taskRow(entry: TaskEntry): TaskRow {
  const { id, node, attempt, runningMs } = entry;
  return { id, function: entry.function, node, attempt, running_ms: Math.round(runningMs) };
}
