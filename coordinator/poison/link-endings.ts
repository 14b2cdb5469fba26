import { type ShoalError, Unheard } from '../../src/errors.js';
import { instanceOf } from './trial.js';

/**
 * How the direct connections to workers ended. A process that ends closes its connections, whatever the cause; a process that is cut off from the
 * network falls silent on them, and stays alive.
 */

/** Limit on the incarnations that are remembered; exceeds the members of a fleet. */
const INCARNATIONS_KEPT = 4_096;

export class LinkEndings {
  /** For each incarnation with which a connection was made, whether it has closed one. */
  private readonly closed = new Map<string, boolean>();

  opened(worker: string, incarnation: string): void {
    this.set(instanceOf(worker, incarnation), false);
  }

  /** @param reason `Unheard` if the worker fell silent; else the worker closed the connection */
  ended(worker: string, incarnation: string, reason: ShoalError): void {
    this.set(instanceOf(worker, incarnation), !(reason instanceof Unheard));
  }

  /** Whether an incarnation has a connection that it never closed. If it was declared dead, it fell silent. */
  isUnclosed(instance: string): boolean {
    return this.closed.get(instance) === false;
  }

  private set(instance: string, closed: boolean): void {
    this.closed.delete(instance);
    this.closed.set(instance, closed);
    if (this.closed.size > INCARNATIONS_KEPT) this.closed.delete(this.closed.keys().next().value!);
  }
}
