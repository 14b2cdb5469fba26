import { createHash } from 'node:crypto';
import type { Clock, Timer } from '../../src/clock.js';
import { isInGroup, type SaltGroup } from '../../src/core/purge-selector.js';
import { Unavailable } from '../../src/errors.js';
import { ownSaltOf } from '../access/principal.js';
import { AnswerMemory, type AnswerMemoryLimits } from './answer-memory.js';
import { sentRequestId } from './request-id.js';
import type { Exchange, HttpRoute, RouteAnswer } from './route.js';
import { SharedAnswer } from './shared-answer.js';

/** Requests that a client repeats under the same `x-request-id`: the repetition gets the running or the finished answer. */

/** The limits on answers that are remembered for repetitions. @internal exported for tests. */
export const REPEAT_LIMITS: AnswerMemoryLimits = {
  windowMs: 60_000,
  answers: 1024,
  totalBytes: 64 * 2 ** 20,
  answerBytes: 8 * 2 ** 20,
};
/** Time for which a running answer waits for a repetition after its clients have disconnected. @internal exported for tests. */
export const REPEAT_GRACE_MS = 5_000;
/** How often memory of expired answers is freed. */
const REPEAT_SWEEP_MS = 10_000;

/**
 * Makes routes answer a repeated request once. A request repeats another if the client sent the same `x-request-id`, the same body and the same
 * key to the same route. Only complete answers and running ones are remembered, never errors.
 */
export class Repeats {
  private readonly answers: AnswerMemory<SharedAnswer>;
  private readonly sweeping: Timer;
  private readonly running = new Set<SharedAnswer>();
  /** Keys of requests by their bodies, one body per request: a large body takes time to hash. */
  private readonly keys = new WeakMap<object, string>();
  /** The salts of the requests' prompts. */
  private readonly salts = new WeakMap<SharedAnswer, string>();

  constructor(
    private readonly clock: Clock,
    limits: AnswerMemoryLimits = REPEAT_LIMITS,
  ) {
    this.answers = new AnswerMemory<SharedAnswer>(limits, (answer) => answer.forget());
    this.sweeping = clock.every(REPEAT_SWEEP_MS, () => this.answers.expire(clock.now()));
  }

  /** The same route, with repetitions joined. */
  join(route: HttpRoute): HttpRoute {
    return {
      ...route,
      repeats: (exchange) => {
        const key = this.keyOf(route, exchange);
        return key !== null && this.answers.get(key, this.clock.now()) !== null;
      },
      handle: (exchange) => this.answer(route, exchange),
    };
  }

  /** Forgets the answers of a group: those that run are not remembered, and go on. Returns their number. */
  forget(group: SaltGroup): number {
    return this.answers.forgetAll((answer) => isInGroup(this.salts.get(answer) ?? '', group));
  }

  /** Drops all answers, and ends the ones that no client waits for any more. */
  close(): void {
    this.sweeping.cancel();
    this.answers.clear();
    for (const answer of this.running) answer.abandon(new Unavailable('the coordinator is stopping'));
  }

  private answer(route: HttpRoute, exchange: Exchange): RouteAnswer | Promise<RouteAnswer> {
    const key = this.keyOf(route, exchange);
    if (key === null) return route.handle(exchange);
    const answer = this.answers.get(key, this.clock.now()) ?? this.begin(key, route, exchange);
    return answer.join(exchange);
  }

  /** The key of the request's answer; null if its client does not name the request. */
  private keyOf(route: HttpRoute, exchange: Exchange): string | null {
    const id = sentRequestId(exchange.header('x-request-id'));
    const { body } = exchange;
    if (id === null) return null;
    if (typeof body !== 'object' || body === null) return keyOf(route, exchange, id);
    const key = this.keys.get(body) ?? keyOf(route, exchange, id);
    this.keys.set(body, key);
    return key;
  }

  private begin(key: string, route: HttpRoute, exchange: Exchange): SharedAnswer {
    const owner = {
      grew: (bytes: number) => this.answers.grew(key, answer, bytes),
      ended: (ok: boolean) => {
        this.running.delete(answer);
        if (ok) this.answers.ended(key, answer, this.clock.now());
        else this.answers.forget(key, answer);
      },
    };
    const options = { clock: this.clock, graceMs: REPEAT_GRACE_MS, owner };
    // The computation begins a turn later, when `answer` is known.
    const compute = async (own: Exchange) => {
      await Promise.resolve();
      return route.handle(own);
    };
    const answer = new SharedAnswer(exchange, compute, options);
    this.running.add(answer);
    this.salts.set(answer, ownSaltOf(exchange.principal, cacheSaltOf(exchange.body)));
    this.answers.add(key, answer);
    return answer;
  }
}

function cacheSaltOf(body: unknown): string | undefined {
  const { cache_salt: salt } = (body ?? {}) as { cache_salt?: unknown };
  return typeof salt === 'string' ? salt : undefined;
}

function keyOf({ path }: HttpRoute, exchange: Exchange, id: string): string {
  const { principal } = exchange;
  const parts = [path, principal?.holder, principal?.saltPrefix, id, exchange.header('x-shoal-worker'), exchange.body];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64');
}
