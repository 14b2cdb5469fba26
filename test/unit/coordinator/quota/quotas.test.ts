import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyPrincipal, type Principal, subjectPrincipal } from '../../../../coordinator/access/principal.js';
import type { QuotaUse } from '../../../../coordinator/quota/quota-use.js';
import { ANNOUNCE_PAUSE_MS, Quotas } from '../../../../coordinator/quota/quotas.js';
import { MemoryBroker } from '../../../../src/bus/memory-bus.js';
import { SimulatedClock } from '../../../../src/clock.js';
import { grantsOf } from '../../../../src/config/grants.js';

type LimitFields = NonNullable<Parameters<typeof grantsOf>[0]['limits']>;
const principal = (limits: LimitFields, id = 'ann'): Principal =>
  keyPrincipal(id, grantsOf({ tenant: 'acme', limits }));

const NOON = 12 * 3_600_000;

function world(clock = new SimulatedClock(NOON)) {
  const broker = new MemoryBroker();
  let made = 0;
  const coordinator = () => {
    const bus = broker.connect(`c${++made}`);
    const quotas = new Quotas({ bus, clock, wallMs: () => clock.now(), subject: 'f.usage', self: `c${made}` });
    quotas.start();
    return { quotas, bus };
  };
  return { clock, coordinator };
}

/** Begins a request and ends it at once, with tokens for the prompt. Returns the error. */
function ask({ quotas }: { quotas: Quotas }, who: Principal, tokens = 0) {
  try {
    const use = quotas.begin(who)!;
    try {
      use.prompt(tokens);
    } finally {
      use.end();
    }
    return null;
  } catch (error) {
    return error as {
      status: number;
      retryAfterS: number;
      headers: Record<string, string>;
      message: string;
      code: string;
    };
  }
}

const times = (count: number, act: (_: unknown, i: number) => unknown) => Array.from({ length: count }, act);
const admitted = (results: readonly unknown[]) => results.filter((result) => result === null).length;

describe('the limits of a key', () => {
  it('allow the burst at once, and then requests at their rate', async () => {
    const { clock, coordinator } = world();
    const c = coordinator();
    const who = principal({ requests_per_minute: 60, burst: 5 });
    expect(admitted(times(20, () => ask(c, who)))).toBe(5);
    expect(ask(c, who)).toMatchObject({
      status: 429,
      retryAfterS: 1,
      message: "cannot take the request: the key 'ann' has used its 60 requests per minute; retry in 1 s",
      headers: {
        'x-ratelimit-limit-requests': '60',
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '5s',
      },
    });
    await clock.advance(1_000);
    expect(admitted(times(3, () => ask(c, who)))).toBe(1);
    await clock.advance(60_000);
    expect(admitted(times(20, () => ask(c, who)))).toBe(5);
  });

  it('count the tokens of prompt and answer; the answer may go into debt', async () => {
    const { clock, coordinator } = world();
    const c = coordinator();
    const who = principal({ tokens_per_minute: 6_000 });
    const use = c.quotas.begin(who)!;
    use.prompt(1_000);
    expect(use.headers()).toMatchObject({
      'x-ratelimit-limit-tokens': '6000',
      'x-ratelimit-remaining-tokens': '5000',
      'x-ratelimit-reset-tokens': '10s',
    });
    use.generated(8_000);
    use.end();
    expect(ask(c, who)).toMatchObject({ status: 429, retryAfterS: 31 });
    await clock.advance(31_000);
    expect(ask(c, who, 200)).toMatchObject({ retryAfterS: 1 });
    expect(ask(c, who, 6_001)).toMatchObject({ status: 429, code: 'request_too_large' });
    await clock.advance(2_000);
    expect(ask(c, who, 200)).toBeNull();
  });

  it('count running requests, and the tokens of a day up to its end', async () => {
    const { clock, coordinator } = world();
    const c = coordinator();
    const two = principal({ concurrent: 2 });
    const uses = times(2, () => c.quotas.begin(two)!);
    expect(ask(c, two)).toMatchObject({ status: 429, retryAfterS: 1, message: /2 concurrent requests/ });
    for (const use of uses) (use as { end(): void }).end();
    expect(ask(c, two)).toBeNull();

    const daily = principal({ tokens_per_day: 100 }, 'bob');
    expect(ask(c, daily, 100)).toBeNull();
    expect(ask(c, daily)).toMatchObject({ status: 429, retryAfterS: NOON / 1_000 });
    await clock.advance(NOON);
    expect(ask(c, daily, 100)).toBeNull();
  });

  it('of a day hold for prompt and answers together, also while several requests run', async () => {
    const { clock, coordinator } = world();
    const c = coordinator();
    const who = principal({ tokens_per_day: 3_000 });
    const begin = (prompt: number, answers: number) => {
      const use = c.quotas.begin(who)!;
      try {
        use.prompt(prompt, answers);
      } catch (error) {
        use.end();
        return error;
      }
      return use;
    };
    expect(begin(100, 10_000)).toMatchObject({ status: 429, code: 'request_too_large' });
    expect(begin(3_001, 0)).toMatchObject({ status: 429, code: 'request_too_large' });
    const first = begin(100, 1_900) as QuotaUse;
    expect(first.leftToday(400)).toBe(600);
    expect(begin(1, 1_000)).toMatchObject({ status: 429, retryAfterS: 1, message: /running requests/ });
    const second = begin(100, 900) as QuotaUse;
    first.generated(400);
    expect(second.leftToday(0)).toBe(0);
    first.end();
    first.end();
    expect(second.leftToday(0)).toBe(1_500);
    second.generated(1_000);
    second.end();
    expect(second.leftToday(0)).toBe(1_400);
    expect(begin(100, 1_301)).toMatchObject({ status: 429, retryAfterS: NOON / 1_000, message: /for up to 1401 more/ });
    (begin(100, 1_300) as QuotaUse).end();
    await clock.advance(NOON);
    expect(second.leftToday(0)).toBe(3_000);
  });

  it('do not bind other keys, nor a key without limits', () => {
    const c = world().coordinator();
    const one = { requests_per_minute: 1, burst: 1 };
    expect([ask(c, principal(one)), ask(c, principal(one, 'bob'))]).toEqual([null, null]);
    expect(c.quotas.begin(principal({}))).toBeNull();
    expect(c.quotas.begin(null)).toBeNull();
  });

  it('that were changed keep the day, the debt, and what is running', async () => {
    const { clock, coordinator } = world();
    const c = coordinator();
    expect(ask(c, principal({ tokens_per_day: 100 }), 100)).toBeNull();
    expect(ask(c, principal({ tokens_per_day: 101, concurrent: 1 }), 1)).toBeNull();
    expect(ask(c, principal({ tokens_per_day: 101, concurrent: 1 }))).toMatchObject({ status: 429 });

    const use = c.quotas.begin(principal({ tokens_per_minute: 6_000, concurrent: 2 }, 'bob'))!;
    use.generated(8_000);
    const less = principal({ tokens_per_minute: 600, concurrent: 1 }, 'bob');
    expect(ask(c, less)).toMatchObject({ retryAfterS: Math.ceil((8_000 - 600 + 1) / 10) });
    await clock.advance(800_000);
    expect(ask(c, less)).toMatchObject({ status: 429, message: /1 concurrent requests/ });
    use.end();
    expect(ask(c, less)).toBeNull();
  });

  it('bind a subject with two credentials as if it had one, whatever each limits', async () => {
    const { clock, coordinator } = world();
    const c = coordinator();
    const kinds = [{ burst: 1 }, { burst: 2 }, { burst: 2, concurrent: 5 }].map((limits) =>
      principal({ requests_per_minute: 6, ...limits }),
    );
    const others = [principal({ concurrent: 9 }), principal({ tokens_per_minute: 600 })];
    const mixed = times(40, (_, i) => ask(c, kinds[i % 3]!)) as unknown[];
    expect(admitted(mixed)).toBe(2);
    expect(times(2, (_, i) => ask(c, others[i]!))).toEqual([null, null]);
    expect(admitted(times(9, (_, i) => ask(c, kinds[i % 3]!)))).toBe(0);
    await clock.advance(600_000);
    expect(admitted(times(40, (_, i) => ask(c, kinds[(i + 1) % 3]!)))).toBe(2);
  });

  it('hold for each request as its own credential says', () => {
    const c = world().coordinator();
    const large = c.quotas.begin(principal({ tokens_per_minute: 1_000 }))!;
    c.quotas.begin(principal({ tokens_per_minute: 10 }));
    expect(large.headers()).toMatchObject({ 'x-ratelimit-limit-tokens': '1000' });
    expect(() => large.prompt(500)).not.toThrow();
  });

  it('are those of a key or of a subject of tokens, not of both if they have one name', () => {
    const c = world().coordinator();
    const grants = grantsOf({ tenant: 'acme', limits: { requests_per_minute: 1, burst: 1 } });
    const holders = [keyPrincipal('ann', grants), subjectPrincipal('ann', grants), subjectPrincipal('ä', grants)];
    expect(holders.map((who) => ask(c, who))).toEqual([null, null, null]);
    for (const who of holders) expect(ask(c, who)).toMatchObject({ status: 429 });
  });
});

describe('several coordinators', () => {
  const loads = fc.record({
    perMinute: fc.integer({ min: 120, max: 3_000 }),
    burst: fc.integer({ min: 5, max: 200 }),
    coordinators: fc.integer({ min: 2, max: 3 }),
    /** Each coordinator gets a request after as many milliseconds. */
    everyMs: fc.array(fc.integer({ min: 10, max: 60 }), { minLength: 3, maxLength: 3 }),
  });

  it('admit together what one would, within 5 %', async () => {
    await fc.assert(
      fc.asyncProperty(loads, async ({ perMinute, burst, coordinators, everyMs }) => {
        const { clock, coordinator } = world();
        const all = times(coordinators, coordinator) as ReturnType<typeof coordinator>[];
        const who = principal({ requests_per_minute: perMinute, burst });
        // The same requests, all of them at one coordinator of another fleet.
        const one = world(clock).coordinator();
        let [taken, byOne] = [0, 0];
        for (const [i, c] of all.entries()) {
          clock.every(everyMs[i]!, () => {
            if (ask(c, who) === null) taken++;
            if (ask(one, who) === null) byOne++;
          });
        }
        const startedMs = clock.now();
        while (clock.now() < startedMs + 60_000) await clock.advance(2_000);
        expect(taken).toBeLessThanOrEqual(1.05 * (burst + perMinute));
        expect(taken).toBeGreaterThanOrEqual(0.95 * byOne);
      }),
      { numRuns: 3 },
    );
  }, 120_000);

  it('share tokens, those of the day too, and a new coordinator learns them', async () => {
    const { clock, coordinator } = world();
    const [a, b] = [coordinator(), coordinator()];
    const who = principal({ tokens_per_minute: 100_000, tokens_per_day: 1_000 });
    for (let i = 0; i < 4; i++) {
      expect([ask(a, who, 100), ask(b, who, 100)]).toEqual([null, null]);
      await clock.advance(2 * ANNOUNCE_PAUSE_MS);
    }
    const late = coordinator();
    await clock.advance(5_000);
    expect(ask(late, who, 200)).toBeNull();
    await clock.advance(2 * ANNOUNCE_PAUSE_MS);
    for (const c of [a, b, late]) expect(ask(c, who)).toMatchObject({ status: 429 });
  });

  it('share what a coordinator used before another saw the key for the first time', async () => {
    const { clock, coordinator } = world();
    const [a, b] = [coordinator(), coordinator()];
    const who = principal({ requests_per_minute: 60, burst: 10 });
    expect(admitted(times(20, () => ask(a, who)))).toBe(10);
    await clock.advance(2_000);
    expect(admitted(times(20, () => ask(b, who)))).toBe(2);
  });

  it('count each other’s running requests, unless a coordinator has fallen silent', async () => {
    const { clock, coordinator } = world();
    const [a, b] = [coordinator(), coordinator()];
    const who = principal({ concurrent: 1 });
    a.quotas.begin(who);
    await clock.advance(10_000);
    expect(ask(b, who)).toMatchObject({ status: 429 });
    a.quotas.stop();
    await clock.advance(6_000);
    expect(ask(b, who)).toBeNull();
  });
});
