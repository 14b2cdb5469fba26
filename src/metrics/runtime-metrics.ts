import type { CallReport, HostObserver } from '../runtime/host/host-observer.js';
import { CALL_SECONDS } from './buckets.js';
import type { Counter, Histogram, MetricsRegistry } from './registry.js';

/** The metrics of a node: users' actors by class and method, and tasks by function. */

/** Limit on the pairs of class and method with their own series; the others share one per class. */
const METHOD_SERIES = 512;
const OTHER_METHODS = 'other';
/** Stands for all methods that a class does not have, so that a caller cannot make series. */
const NO_METHOD = 'unknown';

/** The figures that a scrape reads: the actors of one class. */
export interface ClassUse {
  readonly class: string;
  readonly actors: number;
  /** Calls in their mailboxes. */
  readonly waiting: number;
}

export class RuntimeMetrics implements HostObserver {
  private readonly calls: Counter<'class' | 'method' | 'outcome'>;
  private readonly callSeconds: Histogram<'class' | 'method'>;
  private readonly queueSeconds: Histogram<'class'>;
  private readonly restarts: Counter<'class'>;
  private readonly tasks: Counter<'function' | 'outcome'>;
  private readonly taskSeconds: Histogram<'function'>;
  private readonly series = new Set<string>();

  /** Each scrape calls `uses`. Names of classes and functions must come from modules, so that their number is bounded. */
  constructor(registry: MetricsRegistry, uses: () => readonly ClassUse[]) {
    const labels = ['class', 'method'] as const;
    this.calls = registry.counter({
      name: 'shoal_actor_calls_total',
      help: 'Calls of actors that ended, by class, method and outcome (ok, threw, lost).',
      labels: [...labels, 'outcome'],
    });
    this.callSeconds = registry.histogram({
      name: 'shoal_actor_call_seconds',
      help: 'Seconds that calls of actors ran, without their time in the mailbox.',
      labels,
      buckets: CALL_SECONDS,
    });
    this.queueSeconds = registry.histogram({
      name: 'shoal_actor_queue_seconds',
      help: 'Seconds that calls waited in the mailboxes of actors.',
      labels: ['class'],
      buckets: CALL_SECONDS,
    });
    this.restarts = registry.counter({
      name: 'shoal_actor_restarts_total',
      help: 'Actors that this node created again, after another node was lost or after a kill.',
      labels: ['class'],
    });
    this.tasks = registry.counter({
      name: 'shoal_tasks_total',
      help: 'Tasks that ended, by function and outcome (ok, threw).',
      labels: ['function', 'outcome'],
    });
    this.taskSeconds = registry.histogram({
      name: 'shoal_task_seconds',
      help: 'Seconds that tasks ran.',
      labels: ['function'],
      buckets: CALL_SECONDS,
    });
    const gauge = (name: string, help: string, value: (use: ClassUse) => number) =>
      registry.gauge({ name, help, labels: ['class'] }, (port) => {
        for (const use of uses()) port.set(value(use), { class: use.class });
      });
    gauge('shoal_actors', 'Actors on this node.', ({ actors }) => actors);
    gauge('shoal_actor_calls_waiting', 'Calls in the mailboxes of actors.', ({ waiting }) => waiting);
  }

  called(className: string, method: string | null, { outcome, waitedMs, tookMs }: CallReport): void {
    const labels = { class: className, method: method === null ? NO_METHOD : this.labelOf(className, method) };
    this.calls.add(1, { ...labels, outcome });
    this.callSeconds.observe(tookMs / 1_000, labels);
    this.queueSeconds.observe(waitedMs / 1_000, { class: className });
  }

  ran(functionName: string, { outcome, tookMs }: CallReport): void {
    this.tasks.add(1, { function: functionName, outcome });
    this.taskSeconds.observe(tookMs / 1_000, { function: functionName });
  }

  restarted(className: string): void {
    this.restarts.add(1, { class: className });
  }

  private labelOf(className: string, method: string): string {
    const series = `${className}.${method}`;
    if (this.series.has(series)) return method;
    if (this.series.size >= METHOD_SERIES) return OTHER_METHODS;
    this.series.add(series);
    return method;
  }
}
