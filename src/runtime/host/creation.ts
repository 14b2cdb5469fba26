import type { NodeAddress } from '../../actors/envelope.js';
import { Deferred } from '../../async/deferred.js';
import type { InstanceSpec } from '../messages.js';

/** An actor that is being created on this node, which may have to end before it is there. */

/** The actor must not begin, through no fault of its code. */
export class GivenUp extends Error {}

export class Creation {
  private readonly over = new Deferred<void>();
  private isWanted = true;

  constructor(
    readonly spec: InstanceSpec,
    readonly owner: NodeAddress | null,
    readonly epoch: number,
  ) {}

  /** Resolves when the actor is there, or will not be. */
  get done(): Promise<void> {
    return this.over.promise;
  }

  /** It is done. */
  finish(): void {
    this.over.resolve();
  }

  /** The actor must not begin: its owner is gone, others have taken it over, or the node stops. */
  giveUp(): void {
    this.isWanted = false;
  }

  /** To be called before each step that cannot be undone. @throws GivenUp */
  requireWanted(): void {
    if (!this.isWanted) throw new GivenUp(`the actor ${this.spec.id} is not wanted here any more`);
  }
}
