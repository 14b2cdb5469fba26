/** The senders that a receiver remembers, up to a limit. */

/** What is remembered of a sender; `nonce` is null once it has proved that it lives. */
interface State {
  readonly nonce: Uint8Array | null;
}

/** Senders by origin, the least recently heard one first. */
export class KnownSenders<S extends State> {
  private readonly states: Map<string, S>;
  /** Origin of the sender that was heard last. */
  private last: string;

  /** The receiver itself, `own`, is never forgotten. `onForgotten` gets the state of each sender that is. */
  constructor(
    private readonly own: string,
    state: S,
    private readonly limit: number,
    private readonly onForgotten: (state: S) => void,
  ) {
    this.states = new Map([[own, state]]);
    this.last = own;
  }

  all(): IterableIterator<S> {
    return this.states.values();
  }

  /** The state of a sender; null if it is not remembered. */
  get(origin: string): S | null {
    return this.states.get(origin) ?? null;
  }

  /** The state of a sender, marked as the most recently heard one. */
  touch(origin: string, create: () => S): S {
    const state = this.states.get(origin) ?? create();
    if (origin === this.last) return state;
    this.last = origin;
    this.states.delete(origin);
    this.states.set(origin, state);
    if (this.states.size > this.limit) this.forgetOne();
    return state;
  }

  /**
   * Forgets neither this receiver nor the sender that was heard last. Those that have not proved that they live go first: otherwise repeated
   * messages of many senders that are gone would make this process forget the living, and which of their messages it has taken.
   */
  private forgetOne(): void {
    let chosen: string | null = null;
    for (const [origin, { nonce }] of this.states) {
      if (origin === this.own || origin === this.last) continue;
      chosen ??= origin;
      if (nonce === null) continue;
      chosen = origin;
      break;
    }
    if (chosen === null) return;
    this.onForgotten(this.states.get(chosen)!);
    this.states.delete(chosen);
  }
}
