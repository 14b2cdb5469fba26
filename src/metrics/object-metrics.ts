import type { Counter, MetricsRegistry } from './registry.js';

/** The figures that a scrape reads: a worker's objects. */
export interface ObjectUse {
  readonly objects: number;
  readonly bytes: number;
  readonly budgetBytes: number;
  readonly owedCopies: number;
  readonly disk: { readonly bytes: number; readonly budgetBytes: number };
}

/** The metrics of a worker's objects. */
export class ObjectMetrics {
  readonly gone: Counter<'reason'>;
  readonly moved: Counter;
  readonly full: Counter;

  constructor(registry: MetricsRegistry, use: () => ObjectUse) {
    const gauge = (name: string, help: string, value: (use: ObjectUse) => number) =>
      registry.gauge({ name, help }, (port) => port.set(value(use())));
    gauge('shoal_objects', 'Objects in this worker.', ({ objects }) => objects);
    gauge('shoal_object_bytes', 'Bytes of objects in this worker, including incoming ones.', ({ bytes }) => bytes);
    gauge('shoal_object_budget_bytes', 'Budget for objects in bytes.', ({ budgetBytes }) => budgetBytes);
    gauge('shoal_object_disk_bytes', "Bytes of objects on this worker's disk.", ({ disk }) => disk.bytes);
    gauge('shoal_object_disk_budget_bytes', 'Disk space for objects in bytes.', ({ disk }) => disk.budgetBytes);
    gauge(
      'shoal_object_copies_owed',
      'Copies of objects that this worker still has to make.',
      (each) => each.owedCopies,
    );
    this.gone = registry.counter({
      name: 'shoal_objects_gone_total',
      help: 'Objects that left this worker, by reason (evicted, expired, deleted, replaced, moved).',
      labels: ['reason'],
    });
    this.moved = registry.counter({
      name: 'shoal_object_copies_moved_total',
      help: 'Copies of objects made for other homes after a change of the ring.',
    });
    this.full = registry.counter({
      name: 'shoal_object_copies_refused_total',
      help: 'Copies of objects for which another home had no room.',
    });
    for (const reason of ['evicted', 'expired', 'deleted', 'replaced', 'moved']) this.gone.add(0, { reason });
  }
}
