import { Deferred } from '../../async/deferred.js';

/** The order in which calls of this process to one actor leave, while each looks for the actor by itself. */
export class Departures {
  /** By actor: settled when the last of its calls that wait has left or failed, and all before it. */
  private readonly last = new Map<string, Promise<void>>();

  /** Whether no call to the actor waits, so that a further one may leave at once. */
  isFree(id: string): boolean {
    return !this.last.has(id);
  }

  /** Waits for `found`, and for all earlier calls to the actor to leave or fail; then calls `depart`. Rejects as `found` does, at once. */
  async leave<T, R>(id: string, found: Promise<T>, depart: (place: T) => R): Promise<Awaited<R>> {
    const ahead = this.last.get(id);
    const gone = new Deferred<void>();
    this.last.set(id, gone.promise);
    const leaveTurn = () => {
      gone.resolve();
      if (this.last.get(id) === gone.promise) this.last.delete(id);
    };
    let departed: R;
    try {
      const place = await found;
      await ahead;
      departed = depart(place);
    } finally {
      // A call that has failed does not let later ones overtake earlier ones.
      if (ahead === undefined) leaveTurn();
      else void ahead.then(leaveTurn);
    }
    return await departed;
  }
}
