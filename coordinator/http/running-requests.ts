import type { ServerResponse } from 'node:http';
import { IdleCondition } from '../../src/async/idle.js';
import { LOOP_TURNS } from '../../src/async/loop-turns.js';
import type { Clock, Timer } from '../../src/clock.js';
import { Cancelled } from '../../src/errors.js';
import type { Access } from '../access/access.js';
import type { Principal } from '../access/principal.js';
import type { RouteAccess } from '../access/roles.js';
import { ApiError } from '../openai/api-error.js';

/** The requests that are being answered. They end when their clients disconnect, and when their keys or tokens are no longer accepted. */

/** How often the callers of running requests are looked at: a stream may run for days. @internal exported for tests. */
export const RECHECK_MS = 2_000;

/** Who sent a request, and by which right it runs. */
interface Caller {
  readonly access: RouteAccess;
  readonly authorization: string | null;
  /** Null: no key is needed. */
  readonly principal: Principal | null;
}

interface Running extends Caller {
  readonly controller: AbortController;
}

export class RunningRequests {
  private readonly running = new Set<Running>();
  private readonly idleCondition = new IdleCondition(() => this.running.size === 0);
  /** Runs while a request has a caller to look at. */
  private timer: Timer | null = null;
  private checking = false;

  constructor(
    private readonly access: Access,
    private readonly clock: Clock,
  ) {}

  /** Looks at no caller any more. */
  stop(): void {
    this.timer?.cancel();
    this.timer = null;
  }

  /** The signal of a request, aborted when its client disconnects, when its caller is no longer admitted, or by `abort`. */
  add(response: ServerResponse, caller: Caller): AbortSignal {
    const controller = new AbortController();
    if (response.destroyed) {
      controller.abort(new Cancelled('the client disconnected'));
      return controller.signal;
    }
    const running = { ...caller, controller };
    this.running.add(running);
    if (caller.principal !== null) this.timer ??= this.clock.every(RECHECK_MS, () => void this.recheck());
    response.once('close', () => {
      if (!response.writableFinished) controller.abort(new Cancelled('the client disconnected'));
      this.running.delete(running);
      this.idleCondition.notify();
    });
    return controller.signal;
  }

  /** Ends all of them. */
  abort(reason: Error): void {
    for (const { controller } of this.running) controller.abort(reason);
  }

  /** Resolves when none is left. */
  idle(): Promise<void> {
    return this.idleCondition.wait();
  }

  private async recheck(): Promise<void> {
    if (this.checking) return;
    if ([...this.running].every(({ principal }) => principal === null)) return this.stop();
    this.checking = true;
    // Many requests of one caller are one look at the keys.
    const known = new Map<string, Principal | ApiError | null>();
    for (const { access, authorization, principal, controller } of [...this.running]) {
      if (principal === null || controller.signal.aborted) continue;
      const name = `${access} ${authorization}`;
      if (!known.has(name)) {
        await LOOP_TURNS.next();
        known.set(name, await this.admitted(access, authorization));
      }
      const now = known.get(name)!;
      if (now instanceof ApiError) controller.abort(now);
      else if (now !== null && !isSame(now, principal)) controller.abort(changed());
    }
    this.checking = false;
  }

  /** Who the caller is now, or why it is refused; null if that cannot be found out, which ends nothing. */
  private async admitted(access: RouteAccess, authorization: string | null): Promise<Principal | ApiError | null> {
    let found: Principal | null = null;
    try {
      await this.access.admit(access, authorization, (principal) => {
        found = principal;
      });
      return found;
    } catch (error) {
      return error instanceof ApiError ? error : null;
    }
  }
}

/** What else a key grants counts for its next request. */
function isSame(a: Principal, b: Principal): boolean {
  return a.holder === b.holder && a.tenant === b.tenant && a.role === b.role;
}

function changed(): ApiError {
  const message = 'authorization: the role or the tenant of the key has changed while the request ran; send it again';
  return new ApiError(401, message, { code: 'key_changed' });
}
