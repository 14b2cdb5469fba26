import type { ActorRef } from '../../src/actors/ref.js';
import type { ActorSystem } from '../../src/actors/system.js';
import { Deferred } from '../../src/async/deferred.js';
import { within } from '../../src/async/within.js';
import type { Clock, Timer } from '../../src/clock.js';
import { Unavailable } from '../../src/errors.js';
import { ACCESS_ACTOR, AccessProtocol } from '../../src/protocol/access.js';
import {
  OPEN_SPACE,
  type RespAccess,
  type RespPrincipal,
  type RespUse,
  type RespVerdict,
} from '../../src/resp/resp-access.js';

/** Asks the coordinators for the principals of a worker's clients. Until one has answered, no client is admitted. */

const LOOKUP_MS = 1_000;
const ANSWER_MS = 3_000;
/** How often the coordinators are asked whether the fleet is open to everyone. */
const ASK_MS = 5_000;
/** How often until the first answer. */
const FIRST_ASK_MS = 500;
/** How long a client's command waits for it. */
const PENDING_MS = 5_000;

export class CoordinatorsAccess implements RespAccess {
  private openness: 'unknown' | 'open' | 'closed' = 'unknown';
  private readonly known = new Deferred<void>();
  private asking: Timer | null = null;
  private over = false;

  /** @param exposed whether others than this machine reach the port: then a fleet without keys is closed to all */
  constructor(
    private readonly actors: ActorSystem,
    private readonly clock: Clock,
    private readonly exposed: boolean,
  ) {}

  start(): void {
    void this.ask();
  }

  stop(): void {
    this.over = true;
    this.asking?.cancel();
  }

  anonymous(): RespPrincipal | null {
    return this.openness === 'open' && !this.exposed ? { space: OPEN_SPACE, name: 'default' } : null;
  }

  pending(): Promise<void> | null {
    return this.openness === 'unknown' ? within(this.clock, PENDING_MS, this.known.promise).then(() => {}) : null;
  }

  async authenticate(user: string, password: string): Promise<RespPrincipal | null> {
    for (const coordinator of await this.coordinators()) {
      try {
        const { principal } = await coordinator.ask('authenticate', { user, password }, { timeoutMs: ANSWER_MS });
        return principal;
      } catch {
        // The next one knows the same keys.
      }
    }
    throw new Unavailable('no coordinator answers, and only coordinators know keys; retry');
  }

  /** Rejects with `Unavailable` where no coordinator answers: nobody else knows what a key may still do, or has the audit log. */
  async use(use: RespUse): Promise<RespVerdict> {
    for (const coordinator of await this.coordinators()) {
      try {
        return await coordinator.ask('use', use, { timeoutMs: ANSWER_MS });
      } catch {
        // The next one counts for the same limits.
      }
    }
    throw new Unavailable('no coordinator answers, and only coordinators know the limits of keys; retry');
  }

  private async ask(): Promise<void> {
    try {
      const [coordinator] = await this.coordinators();
      const answer = await coordinator?.ask('openness', {}, { timeoutMs: ANSWER_MS });
      if (answer !== undefined) this.openness = answer.open ? 'open' : 'closed';
      if (answer !== undefined) this.known.resolve();
    } catch {
      // The last answer holds until a coordinator gives another.
    }
    if (this.over) return;
    this.asking = this.clock.after(this.openness === 'unknown' ? FIRST_ASK_MS : ASK_MS, () => void this.ask());
  }

  private coordinators(): Promise<ActorRef<typeof AccessProtocol>[]> {
    return this.actors.lookup(AccessProtocol, ACCESS_ACTOR, LOOKUP_MS, 1);
  }
}
