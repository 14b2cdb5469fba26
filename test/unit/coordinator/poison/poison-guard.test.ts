import { afterEach, describe, expect, it } from 'vitest';
import { QUARANTINE_MS } from '../../../../coordinator/poison/quarantine.js';
import { PoisonousPrompt } from '../../../../src/errors.js';
import type { Sampling } from '../../../../src/protocol/generate.js';
import { Hive } from '../support/hive.js';
import { type FleetSpec, isWhole, MortalFleet, POISON, POISONS, type Run } from './support.js';

/** A generator of numbers in [0, 1), for schedules that repeat. */
function chance(seed: number): () => number {
  let state = seed * 2_654_435_761 + 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('a prompt that crashes its worker', () => {
  let fleet: MortalFleet;
  afterEach(() => fleet.close());

  const refusals = (runs: readonly Run[]) => runs.map(({ error }) => error?.constructor.name);

  it.each([
    ['at once', { poisonMs: 0 }],
    ['while it is prefilled', { poisonMs: 300 }],
    ['after a long prefill', { poisonMs: 3_000 }],
    ['while it decodes', { poisonAfter: 20 }],
  ])('%s kills two workers at most, and costs those beside it nothing', async (_, spec) => {
    fleet = await new MortalFleet({ workers: 6, ...spec }).start();
    const innocents = Array.from({ length: 40 }, (_, i) => fleet.send(i, 200));
    await fleet.pass(100);
    const poison = Array.from({ length: 12 }, () => fleet.send(POISON, 100));
    await fleet.finish([...innocents, ...poison]);
    expect(fleet.deaths.length).toBe(2);
    expect(innocents.filter((run) => !isWhole(run))).toEqual([]);
    expect(refusals(poison)).toEqual(poison.map(() => 'PoisonousPrompt'));
    expect(fleet.hives[0]!.quarantined).toBe(1);

    const asked = fleet.poisonAsked;
    const retries = [fleet.send(POISON, 100), fleet.send(POISON, 5)];
    await fleet.finish(retries);
    expect(refusals(retries)).toEqual(['PoisonousPrompt', 'PoisonousPrompt']);
    expect([fleet.poisonAsked, fleet.deaths.length]).toEqual([asked, 2]);
  });

  it.each([1, 2, 3, 4, 5, 6])('kills two workers at most in fleets of any kind (seed %i)', async (seed) => {
    const next = chance(seed);
    const of = (...values: number[]) => values[Math.floor(next() * values.length)]!;
    const spec = { workers: of(3, 4, 5, 7), poisonMs: of(0, 5, 200, 1_500), poisonAfter: of(0, 1, 10, 50) };
    fleet = await new MortalFleet({ ...spec, stepMs: of(5, 20, 50) }).start();
    const [innocents, poison]: [Run[], Run[]] = [[], []];
    for (let i = 0; i < 30; i++) {
      innocents.push(fleet.send(of(...Array(20).keys()), 10 + Math.floor(next() * 150)));
      if (next() < 0.2) await fleet.pass(50);
      if (i % 3 === 0) poison.push(fleet.send(POISON, 100));
    }
    await fleet.finish([...innocents, ...poison]);
    expect([spec, fleet.deaths.length]).toEqual([spec, 2]);
    expect(innocents.filter((run) => !isWhole(run))).toEqual([]);
    expect(new Set(refusals(poison))).toEqual(new Set(['PoisonousPrompt']));
  });

  it('is the only one blamed where several kinds crash at a time', async () => {
    fleet = await new MortalFleet({ workers: 6 }).start();
    const innocents = Array.from({ length: 40 }, (_, i) => fleet.send(i, 200));
    const poison: Run[] = [];
    for (let i = 0; i < 5; i++) {
      poison.push(fleet.send(POISON, 100));
      await fleet.pass(1_000);
    }
    await fleet.finish([...innocents, ...poison]);
    expect(innocents.filter((run) => !isWhole(run))).toEqual([]);
    expect(fleet.deaths.length).toBe(2);
  });

  it('is known after the second death even if its clients give up after each', async () => {
    fleet = await new MortalFleet({ workers: 4 }).start();
    for (let i = 0; i < 10; i++) {
      const run = fleet.send(POISON, 100);
      await fleet.pass(200);
      run.abort.abort();
      await fleet.pass(4_000);
    }
    expect(fleet.deaths.length).toBe(2);
  });

  it('is refused by all coordinators, whichever of them lost workers to it', async () => {
    fleet = await new MortalFleet({ workers: 6 }, 2).start();
    const [a, b] = fleet.hives as [Hive, Hive];
    const innocents = Array.from({ length: 40 }, (_, i) => fleet.send(i, 200, i % 2 ? a : b));
    await fleet.pass(100);
    const poison = Array.from({ length: 12 }, (_, i) => fleet.send(POISON, 100, i % 2 ? a : b));
    await fleet.finish([...innocents, ...poison]);
    const asked = fleet.poisonAsked;
    const retries = [fleet.send(POISON, 100, a), fleet.send(POISON, 100, b)];
    await fleet.finish(retries);
    expect(refusals([...poison, ...retries])).toEqual(Array.from({ length: 14 }, () => 'PoisonousPrompt'));
    expect([fleet.poisonAsked, fleet.deaths.length]).toEqual([asked, 2]);
    expect(innocents.filter((run) => !isWhole(run))).toEqual([]);
  });

  it.each([
    [3, 0],
    [3, 300],
    [5, 30],
  ])('kills two workers at most if %i coordinators get it at once (%i ms to the crash)', async (count, poisonMs) => {
    fleet = await new MortalFleet({ workers: 8, poisonMs }, count).start();
    const innocents = Array.from({ length: 20 }, (_, i) => fleet.send(i, 100, fleet.hives[i % count]));
    await fleet.pass(100);
    const poison = Array.from({ length: 4 * count }, (_, i) => fleet.send(POISON, 100, fleet.hives[i % count]));
    await fleet.finish([...innocents, ...poison]);
    expect(fleet.deaths.length).toBe(2);
    expect(new Set(refusals(poison))).toEqual(new Set(['PoisonousPrompt']));
    expect(innocents.filter((run) => !isWhole(run))).toEqual([]);
  });

  it('that killed one worker through one coordinator and one through another is known to both', async () => {
    fleet = await new MortalFleet({ workers: 4 }, 2).start();
    for (let i = 0; i < 6; i++) {
      const run = fleet.send(POISON, 100, fleet.hives[i % 2]);
      await fleet.pass(1_000);
      run.abort.abort();
      await fleet.pass(4_000);
    }
    expect(fleet.deaths.length).toBe(2);
  });

  it('is known to a coordinator that starts later, with and without another one alive', async () => {
    fleet = await new MortalFleet({ workers: 3 }).start();
    const [first] = fleet.hives as [Hive];
    await fleet.finish([fleet.send(POISON, 100)]);
    const second = new Hive({ clock: first.clock, broker: first.broker }, 'second');
    fleet.hives.push(second);
    await fleet.pass(400);
    first.bucket.clear();
    await first.poison.keep();
    const third = new Hive({ clock: first.clock, bucket: first.bucket }, 'third');
    fleet.hives.push(third);
    await fleet.pass(400);
    const runs = [fleet.send(POISON, 5, second), fleet.send(POISON, 5, third)];
    await fleet.pass(100);
    expect(refusals(runs)).toEqual(['PoisonousPrompt', 'PoisonousPrompt']);
  });

  describe.each([
    ['all coordinators lost NATS', 3, true],
    ['NATS is silent for all coordinators', 3, false],
    ['one coordinator lost NATS', 1, true],
    ['NATS is silent for one coordinator', 1, false],
  ])('while %s', (_, silent, noticed) => {
    async function start(spec: FleetSpec): Promise<readonly Hive[]> {
      fleet = await new MortalFleet(spec, 3).start();
      const { hives } = fleet;
      await fleet.finish([fleet.send(1, 20, hives[0]), fleet.send(2, 20, hives[1]), fleet.send(3, 20, hives[2])]);
      fleet.silence(hives.slice(0, silent), noticed);
      await fleet.pass(4_000);
      // As `siblings` counts them: only those that NATS carries.
      hives.forEach((hive, at) => {
        hive.alone = at < silent;
      });
      return hives;
    }

    it('kills two workers at most if its client tries one coordinator after another', async () => {
      const hives = await start({ workers: 8 });
      for (let i = 0; i < 6; i++) {
        const run = fleet.send(POISON, 100, hives[i % 3]);
        await fleet.pass(1_200);
        run.abort.abort();
        await fleet.pass(i < 3 ? 300 : 6_000);
      }
      expect(fleet.deaths.length).toBe(2);
      const last = hives.map((hive) => fleet.send(POISON, 100, hive));
      await fleet.finish(last);
      expect(refusals(last)).toEqual(last.map(() => 'PoisonousPrompt'));
      expect(fleet.deaths.length).toBe(2);
    });

    it('kills two workers at most if all coordinators get it at once, beside others', async () => {
      const hives = await start({ workers: 8 });
      const innocents = Array.from({ length: 12 }, (_, i) => fleet.send(10 + i, 100, hives[i % 3]));
      await fleet.pass(100);
      const poison = Array.from({ length: 6 }, (_, i) => fleet.send(POISON, 100, hives[i % 3]));
      await fleet.finish([...innocents, ...poison]);
      expect(fleet.deaths.length).toBe(2);
      expect(new Set(refusals(poison))).toEqual(new Set(['PoisonousPrompt']));
      expect(innocents.filter((run) => !isWhole(run)).map(({ error }) => error?.message)).toEqual([]);
    });
  });

  it('is known to the only coordinator after it was killed, from workers, after each death', async () => {
    fleet = await new MortalFleet({ workers: 4 }).start();
    for (let i = 0; i < 6; i++) {
      const run = fleet.send(POISON, 100);
      await fleet.pass(200);
      run.abort.abort();
      if (i % 2 === 0) await fleet.pass(6_000);
      const { bucket } = fleet.hives[0]!;
      await fleet.replace(0, true);
      bucket.clear();
    }
    expect(fleet.deaths.length).toBe(2);
    const last = fleet.send(POISON, 100);
    await fleet.pass(6_000);
    expect(refusals([last])).toEqual(['PoisonousPrompt']);
  });

  it('is refused until the quarantine ends, by a message that does not quote it', async () => {
    fleet = await new MortalFleet({ workers: 3 }).start();
    const run = fleet.send(POISON, 100);
    await fleet.finish([run]);
    expect(run.error).toBeInstanceOf(PoisonousPrompt);
    expect(run.error!.message).toMatch(/^cannot answer this request: workers crashed .* refused for 10 minutes$/);
    await fleet.pass(QUARANTINE_MS);
    const later = fleet.send(POISON, 100);
    await fleet.pass(200);
    expect(later.error).toBeNull();
    later.abort.abort();
  });
});

describe('a prompt that crashes its worker with some sampling fields only', () => {
  let fleet: MortalFleet;
  afterEach(() => fleet.close());

  const biased = (by: number): Partial<Sampling> => ({ logitBias: [[5, by]] });
  const errors = (runs: readonly Run[]) => runs.map(({ error }) => error?.message.slice(0, 26) ?? null);
  const [REQUEST, PROMPT] = ['cannot answer this request', 'cannot answer this prompt:'];
  const kills = ({ sampling }: { sampling: Sampling }) => sampling.logitBias.length > 0;

  it.each([
    [1, 0],
    [1, 20],
    [2, 0],
    [3, 20],
  ])(
    'is answered with others, while many run with both (%i coordinators, crash after %i tokens)',
    async (count, poisonAfter) => {
      fleet = await new MortalFleet({ workers: 6, poisonAfter, kills }, count).start();
      const at = (i: number) => fleet.hives[i % count];
      const before = Array.from({ length: 4 }, (_, i) => fleet.send(POISON, 20, at(i)));
      await fleet.finish(before);
      const runs: Run[] = [];
      const poison: Run[] = [];
      for (let i = 0; i < 12; i++) {
        poison.push(fleet.send(POISON, 100, at(i), { ...biased(1), seed: i }));
        runs.push(fleet.send(POISON, 100, at(i), { seed: i }), fleet.send(i, 100, at(i)));
        await fleet.pass(i % 3 === 0 ? 200 : 0);
      }
      await fleet.finish([...runs, ...poison]);
      expect(fleet.deaths.length).toBe(2);
      expect(errors(poison)).toEqual(poison.map(() => REQUEST));
      const after = [fleet.send(POISON, 40), fleet.send(POISON, 40, at(1), { temperature: 1 })];
      const refused = [fleet.send(POISON, 7, at(1), biased(1))];
      await fleet.finish([...after, ...refused]);
      expect([...before, ...runs, ...after].filter((run) => !isWhole(run)).map(({ error }) => error?.message)).toEqual(
        [],
      );
      expect([errors(refused), fleet.deaths.length]).toEqual([[REQUEST], 2]);
    },
  );

  it('is answered without them even if nobody sent it so before', async () => {
    fleet = await new MortalFleet({ workers: 4, kills }).start();
    const poison = fleet.send(POISON, 100, undefined, biased(1));
    await fleet.finish([poison]);
    const innocent = [
      fleet.send(POISON, 100),
      fleet.send(POISON, 100),
      fleet.send(POISON, 100, undefined, { topK: 3 }),
    ];
    await fleet.finish(innocent);
    expect([errors([poison]), innocent.map(isWhole), fleet.deaths.length]).toEqual([[REQUEST], [true, true, true], 2]);
  });

  it.each([1, 2])('is refused with any of them once two requests crashed workers (%i coordinators)', async (count) => {
    fleet = await new MortalFleet({ workers: 6, kills }, count).start();
    const first = fleet.send(POISON, 100, undefined, biased(1));
    await fleet.finish([first]);
    expect(fleet.deaths.length).toBe(2);
    await fleet.finish([fleet.send(POISON, 100)]);
    for (let by = 2; by < 12; by++) {
      await fleet.finish([fleet.send(POISON, 100, fleet.hives[by % count], biased(by))]);
      expect(fleet.deaths.length).toBe(3);
    }
    const last = [fleet.send(POISON, 100), fleet.send(POISON, 100, fleet.hives.at(-1), biased(1))];
    await fleet.finish(last);
    expect([errors(last), fleet.deaths.length]).toEqual([[PROMPT, PROMPT], 3]);
  });

  it.each([1, 2, 3])('kills two workers if each copy has other fields (%i coordinators)', async (count) => {
    fleet = await new MortalFleet({ workers: 8 }, count).start();
    const runs: Run[] = [];
    for (let by = 1; by <= 12; by++) runs.push(fleet.send(POISON, 100, fleet.hives[by % count], biased(by)));
    await fleet.finish(runs);
    expect([errors(runs), fleet.deaths.length]).toEqual([runs.map(() => PROMPT), 2]);
  });
});

describe('many prompts that crash their workers at once', () => {
  let fleet: MortalFleet;
  afterEach(() => fleet.close());

  /** Sends poisonous prompts among innocent ones. Returns what went wrong. */
  async function storm(seed: number, coordinators: number): Promise<unknown> {
    const next = chance(seed);
    const of = (...values: number[]) => values[Math.floor(next() * values.length)]!;
    const spec = { workers: of(3, 4, 6), poisonMs: of(0, 30, 300), poisonAfter: of(0, 0, 20) };
    fleet = await new MortalFleet({ ...spec, stepMs: of(10, 20) }, coordinators).start();
    const kinds = POISONS.slice(0, of(3, 6, 10));
    const [innocents, poison]: [Run[], Run[]] = [[], []];
    const send = (first: number, tokens: number) => fleet.send(first, tokens, fleet.hives[of(...fleet.hives.keys())]);
    for (let i = 0; i < 16; i++) innocents.push(send(i, 20 + Math.floor(next() * 150)));
    await fleet.pass(100);
    for (let copy = of(1, 2); copy > 0; copy--) for (const kind of kinds) poison.push(send(kind, 100));
    for (let i = 16; i < 40; i++) {
      await fleet.pass(of(50, 400));
      innocents.push(send(i, 20 + Math.floor(next() * 150)));
    }
    await fleet.finish([...innocents, ...poison], 300_000);
    return {
      killers: [...fleet.killedBy].filter(([, deaths]) => deaths > 2),
      failed: innocents.filter((run) => !isWhole(run)).map(({ error }) => error?.message ?? 'unfinished'),
      refused: poison.filter(({ error }) => !(error instanceof PoisonousPrompt)).map(({ error }) => error?.message),
    };
  }
  const NOTHING = { killers: [], failed: [], refused: [] };

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'kill two workers each at most, and convict no other prompt (seed %i)',
    async (seed) => {
      expect(await storm(seed, 1)).toEqual(NOTHING);
    },
  );

  it.each([1, 2, 3, 4, 5, 6])('do so through several coordinators, too (seed %i)', async (seed) => {
    expect(await storm(seed, 2 + (seed % 2))).toEqual(NOTHING);
  });

  it('are known after two deaths even if the coordinators that knew the evidence are killed after each', async () => {
    fleet = await new MortalFleet({ workers: 4 }, 3).start();
    const innocents = Array.from({ length: 8 }, (_, i) => fleet.send(i, 300));
    for (let i = 0; i < 5; i++) {
      const at = 1 + (i % 2);
      const deaths = fleet.deaths.length;
      const run = fleet.send(POISON, 100, fleet.hives[at]);
      for (let passed = 0; passed < 8_000 && fleet.deaths.length === deaths && !run.over; passed += 50)
        await fleet.pass(50);
      await fleet.replace(at);
    }
    await fleet.finish(innocents);
    expect([fleet.killedBy.get(POISON), fleet.deaths.length]).toEqual([2, 2]);
    expect(innocents.filter((run) => !isWhole(run)).map(({ error }) => error?.message)).toEqual([]);
  });
});

describe('requests that witness deaths by chance', () => {
  let fleet: MortalFleet;
  afterEach(() => fleet.close());

  it.each([1, 2, 3])('are all answered while workers are killed every few seconds (seed %i)', async (seed) => {
    fleet = await new MortalFleet({ workers: 6 }).start();
    const next = chance(seed);
    const runs: Run[] = [];
    for (let i = 0; i < 30; i++) {
      for (let k = 0; k < 4; k++) runs.push(fleet.send(1_000 + 4 * i + k, 20 + Math.floor(next() * 400)));
      if (i % 5 === 4) {
        await fleet.pass(Math.floor(next() * 8) * 50);
        const up = fleet.workers;
        if (up.length > 3) await fleet.kill(up[Math.floor(next() * up.length)]!);
      }
      await fleet.pass(400);
    }
    await fleet.finish(runs);
    expect(fleet.deaths.length).toBeGreaterThan(4);
    expect(runs.filter((run) => !isWhole(run)).map(({ error }) => error?.message)).toEqual([]);
    expect(fleet.hives[0]!.quarantined).toBe(0);
  });

  it.each([1, 2, 3])(
    'are never convicted where supervisors know that somebody kills workers (seed %i)',
    async (seed) => {
      fleet = await new MortalFleet({ workers: 3, stepMs: 300 }, 2).start();
      const next = chance(seed);
      const runs: Run[] = [];
      let killMs = 1_500;
      for (let atMs = 0; atMs < 30_000; atMs += 400) {
        runs.push(fleet.send(1_000 + atMs, 3 + Math.floor(next() * 25), fleet.hives[Math.floor(next() * 2)]));
        await fleet.pass(400);
        const up = fleet.workers;
        if (atMs < killMs || up.length < 2) continue;
        await fleet.kill(up[Math.floor(next() * up.length)]!, true);
        killMs = atMs + 1_500 + next() * 2_500;
      }
      const poison = fleet.send(POISON, 100);
      await fleet.finish([...runs, poison]);
      expect(runs.filter((run) => !isWhole(run)).map(({ error }) => error?.message)).toEqual([]);
      expect(poison.error).toBeInstanceOf(PoisonousPrompt);
      expect(fleet.hives.map(({ quarantined }) => quarantined)).toEqual([1, 0]);
    },
  );

  it('are answered when all workers die, once one is back', async () => {
    fleet = await new MortalFleet({ workers: 2 }).start();
    const runs = [fleet.send(1, 100), fleet.send(2, 100), fleet.send(3, 100)];
    await fleet.pass(500);
    await Promise.all(fleet.workers.map((id) => fleet.kill(id)));
    await fleet.finish(runs);
    expect(runs.every(isWhole)).toBe(true);
  });
});
