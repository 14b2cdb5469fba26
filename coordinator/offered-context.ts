import type { Clock } from '../src/clock.js';
import { InvalidRequest, Unavailable } from '../src/errors.js';
import type { Roster } from '../src/fleet/roster.js';
import type { Attempt } from './poison/turn.js';
import { LISTEN_FOR_MEMBERS_MS } from './restarts.js';

/** The largest context that the workers of the fleet offer. */

/** How long the context of a worker that is gone still counts: it is probably being restarted, and a request that needs it can be tried again. */
const REMEMBER_MS = 60_000;

export class OfferedContext {
  /** When the last worker with this context went, for contexts that no worker offers now. */
  private readonly goneAtMs = new Map<number, number>();
  private offered: readonly number[] = [];
  private readonly startedMs: number;

  constructor(
    private readonly roster: Roster,
    private readonly clock: Clock,
  ) {
    this.startedMs = clock.now();
    roster.listen(({ type }) => {
      // Once for all workers that come or go at one moment.
      if (type === 'changed') this.update();
    });
  }

  /** Tokens of prompt and answer together; null if no worker is known, or this process has not heard all of them yet. */
  get tokens(): number | null {
    if (this.clock.now() - this.startedMs < LISTEN_FOR_MEMBERS_MS) return null;
    this.forget();
    const contexts = [...this.offered, ...this.goneAtMs.keys()];
    return contexts.length === 0 ? null : Math.max(...contexts);
  }

  /**
   * Checks the length of a request.
   * @throws InvalidRequest if no worker, or not the one that the request names, offers a context that is long enough
   */
  check({ leastContextTokens, resumed, pinned }: Attempt): void {
    // A request that was accepted once is never wrong: it waits for a worker that takes it.
    if (resumed > 0) return;
    const named = pinned === null ? null : this.roster.alive(pinned);
    const offered = named?.capacity.contextTokens ?? this.tokens;
    if (offered === null || leastContextTokens <= offered) return;
    const by = named ? `worker '${named.id}' takes` : 'the workers of this fleet take';
    throw new InvalidRequest(
      `prompt: prompt and answer together may have ${leastContextTokens} tokens; ${by} at most ${offered}`,
      'prompt',
    );
  }

  /** @throws Unavailable if workers serve, but none with a context that is long enough */
  checkServing({ leastContextTokens }: Attempt): void {
    const serving = this.roster.members().filter(({ state }) => state === 'serving');
    if (serving.length === 0 || serving.some(({ capacity }) => capacity.contextTokens >= leastContextTokens)) return;
    throw new Unavailable(
      `no worker with a context of ${leastContextTokens} tokens is serving at the moment; retry, or ask for fewer tokens`,
    );
  }

  private forget(): void {
    for (const [context, atMs] of this.goneAtMs) {
      if (this.clock.now() - atMs > REMEMBER_MS) this.goneAtMs.delete(context);
    }
  }

  private update(): void {
    this.forget();
    const before = this.offered;
    const alive = this.roster.members().filter(({ state }) => state !== 'dead');
    this.offered = [...new Set(alive.map(({ capacity }) => capacity.contextTokens))];
    for (const context of before) if (!this.offered.includes(context)) this.goneAtMs.set(context, this.clock.now());
    for (const context of this.offered) this.goneAtMs.delete(context);
  }
}
