/** Which calls have arrived at a node, so that one that is sent again runs once. */

/** Number of calls that a node remembers after their arrival. It remembers at most twice as many. */
const CALLS_REMEMBERED = 16_384;
/** Limit on the callers of which a node knows that it has forgotten calls. */
const CALLERS_REMEMBERED = 4_096;

/** `forgotten`: the call is older than what is remembered of its caller, so that it may be new, or may have arrived before. */
export type Familiarity = 'new' | 'known' | 'forgotten';

/**
 * Remembers the newest calls of all callers by their ids. A caller counts its calls, so that a call with a higher id than any forgotten one of its
 * caller is new.
 */
export class KnownCalls {
  /** The newest calls, and those before them. A full set replaces the older one. */
  private newest = new CallSet();
  private before = new CallSet();
  /** By caller: the highest id of a call that was forgotten. */
  private readonly forgotten = new Map<string, number>();

  constructor(private readonly remembered: number = CALLS_REMEMBERED) {}

  of(caller: string, id: number): Familiarity {
    if (this.newest.has(caller, id) || this.before.has(caller, id)) return 'known';
    return id <= (this.forgotten.get(caller) ?? 0) ? 'forgotten' : 'new';
  }

  add(caller: string, id: number): void {
    this.newest.add(caller, id);
    if (this.newest.size < this.remembered) return;
    for (const [forgetful, highest] of this.before.highest()) this.forget(forgetful, highest);
    this.before = this.newest;
    this.newest = new CallSet();
  }

  private forget(caller: string, highest: number): void {
    const before = this.forgotten.get(caller) ?? 0;
    // Callers whose calls were forgotten last are at the end.
    this.forgotten.delete(caller);
    this.forgotten.set(caller, Math.max(highest, before));
    if (this.forgotten.size <= CALLERS_REMEMBERED) return;
    for (const oldest of this.forgotten.keys()) {
      this.forgotten.delete(oldest);
      break;
    }
  }
}

/** Calls by caller and id. */
class CallSet {
  size = 0;
  private readonly ids = new Map<string, Set<number>>();

  has(caller: string, id: number): boolean {
    return this.ids.get(caller)?.has(id) ?? false;
  }

  add(caller: string, id: number): void {
    const ofCaller = this.ids.get(caller) ?? new Set();
    if (ofCaller.size === 0) this.ids.set(caller, ofCaller);
    const before = ofCaller.size;
    this.size += ofCaller.add(id).size - before;
  }

  /** The highest id of each caller. */
  *highest(): Iterable<[string, number]> {
    for (const [caller, ids] of this.ids) {
      let highest = 0;
      for (const id of ids) highest = Math.max(highest, id);
      yield [caller, highest];
    }
  }
}
