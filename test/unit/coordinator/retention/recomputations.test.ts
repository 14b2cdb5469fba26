import { describe, expect, it } from 'vitest';
import type { Fulfilment } from '../../../../coordinator/retention/assignment.js';
import { COPY_GRACE_MS, Recomputations } from '../../../../coordinator/retention/recomputations.js';
import { SimulatedClock, settled } from '../../../../src/clock.js';
import { InvalidRequest, PoisonousPrompt, Unavailable } from '../../../../src/errors.js';

function setup(takers = ['x', 'y']) {
  const clock = new SimulatedClock(1_000_000);
  const asked: string[] = [];
  const failed: string[] = [];
  const cancelled: string[] = [];
  let end: (error: Error | null) => void = () => {};
  const recomputations = new Recomputations({
    clock,
    recompute: (id, worker, _prompt, signal) => {
      asked.push(`${id}@${worker}`);
      signal.addEventListener('abort', () => cancelled.push(id));
      return new Promise((resolve, reject) => {
        end = (error) => (error === null ? resolve() : reject(error));
      });
    },
    takes: (worker) => takers.includes(worker),
    onFailed: (id, reason) => void failed.push(`${id}: ${reason}`),
    onTried: () => {},
  });
  const round = (...progress: Fulfilment[]) => {
    const next = recomputations.next(progress, () => takers);
    for (const { id, worker } of next)
      recomputations.begin(id, worker, { tokens: new Uint32Array(64), salt: null, tenant: null });
    return next.map(({ id }) => id);
  };
  const finish = async (error: Error | null = null) => {
    end(error);
    await settled();
  };
  return { clock, asked, failed, cancelled, recomputations, round, finish };
}

const progress = (id: string, over: Partial<Fulfilment> = {}): Fulfilment => ({
  ...{ id, copies: 0, held: false, lost: true, lacking: new Map([['x', 2]]), ...over },
});

describe('recomputations', () => {
  it('compute a lost prompt at once, on the serving home that lacks most', () => {
    const { asked, round } = setup();
    const lacking = new Map([
      ['y', 1],
      ['x', 2],
      ['suspect', 3],
    ]);
    round(progress('p', { lacking }));
    expect(asked).toEqual(['p@x']);
  });

  it('leave a block that some worker has to the other workers for a while', async () => {
    const { clock, round } = setup();
    const owed = progress('p', { copies: 1, lost: false });
    expect(round(owed)).toEqual([]);
    await clock.advance(COPY_GRACE_MS - 1);
    expect(round(owed)).toEqual([]);
    await clock.advance(1);
    expect(round(owed)).toEqual(['p']);
  });

  it('start a few at a time, fewest copies first', async () => {
    const { clock, round } = setup();
    const [one, two] = [1, 2].map((copies) => progress(`p${copies}`, { copies, lost: false }));
    round(one!, two!);
    await clock.advance(COPY_GRACE_MS);
    expect(round(two!, one!, progress('p0'))).toEqual(['p0', 'p1']);
    expect(round(two!, one!, progress('p0'))).toEqual([]);
  });

  it('pause after each try, longer and longer', async () => {
    const { clock, round, finish } = setup();
    const pauses: number[] = [];
    for (let i = 0; i < 7; i++) {
      let waitedMs = 0;
      for (; round(progress('p')).length === 0; waitedMs += 1_000) await clock.advance(1_000);
      pauses.push(waitedMs);
      await finish(i % 2 === 0 ? null : new Unavailable('no worker'));
    }
    expect(pauses).toEqual([0, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000]);
  });

  it('give up a prompt that a worker refuses although its context is long enough', async () => {
    const { failed, round, finish } = setup();
    round(progress('p'));
    await finish(new InvalidRequest('prompt: token 9 is not in the vocabulary'));
    expect(failed).toEqual(['p: prompt: token 9 is not in the vocabulary']);
  });

  it('use other workers in turn if no home takes the prompt, and none if no worker takes it', async () => {
    const { asked, clock, round, finish } = setup(['a', 'b']);
    for (const pauseMs of [2_000, 4_000, 8_000]) {
      expect(round(progress('p'))).toEqual(['p']);
      await finish();
      await clock.advance(pauseMs);
    }
    expect(asked).toEqual(['p@a', 'p@b', 'p@a']);
    expect(setup([]).round(progress('p'))).toEqual([]);
  });

  it('do not give up a prompt because a worker came back with a shorter context', async () => {
    const takers = ['x'];
    const { clock, failed, round, finish } = setup(takers);
    round(progress('p'));
    takers[0] = 'y';
    await finish(new InvalidRequest('prompt: too long'));
    await clock.advance(2_000);
    expect([failed, round(progress('p'))]).toEqual([[], ['p']]);
  });

  it('try a quarantined prompt again after its quarantine, more and more rarely', async () => {
    const { clock, failed, round, finish } = setup();
    for (const pauseMs of [600_000, 1_200_000, 2_400_000]) {
      expect(round(progress('p'))).toEqual(['p']);
      await finish(new PoisonousPrompt('workers crashed'));
      await clock.advance(pauseMs - 1);
      expect(round(progress('p'))).toEqual([]);
      await clock.advance(1);
    }
    expect(failed).toEqual([]);
  });

  it('end for retentions that have ended', async () => {
    const { cancelled, recomputations, failed, round, finish } = setup();
    round(progress('p'));
    recomputations.keepOnly(new Set(['q']));
    expect(cancelled).toEqual(['p']);
    await finish(new InvalidRequest('prompt: too long'));
    expect(failed).toEqual([]);
  });
});
