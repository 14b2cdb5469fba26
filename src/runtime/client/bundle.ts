import { InvalidRequest } from '../../errors.js';
import type { NodeView } from '../core/node-view.js';
import type { Resources } from '../core/resources.js';
import type { BundlePlace } from '../core/scheduler.js';

/** A bundle of a placement group: resources that are reserved on one node, for the actors and tasks that are given `bundle`. */
export class Bundle implements BundlePlace {
  private place: NodeView | null = null;
  private over = false;

  /** @internal made by `fleet.group`. */
  constructor(
    readonly id: string,
    readonly resources: Resources,
  ) {}

  /** The id of its node; null while it is being reserved again, because its node is gone. */
  get node(): string | null {
    return this.place?.id ?? null;
  }

  get at(): string | null {
    return this.place?.incarnation ?? null;
  }

  /** @throws InvalidRequest if its group has been removed */
  checkOpen(): void {
    if (this.over) throw new InvalidRequest('bundle: its group has been removed', 'bundle');
  }

  /** @internal for the group. */
  moveTo(place: NodeView | null): void {
    this.place = place;
  }

  /** @internal for the group. */
  end(): void {
    this.over = true;
  }
}
