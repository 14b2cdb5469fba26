import { beforeEach, describe, expect, it } from 'vitest';
import { Claims } from '../../../../coordinator/poison/claims.js';
import { FATE_WAIT_MS, JUDGE_DEAF_MS, Suspects } from '../../../../coordinator/poison/suspects.js';
import { CLEARING_TOKENS } from '../../../../coordinator/poison/verdict.js';
import { SimulatedClock } from '../../../../src/clock.js';

/** The only request with a prompt. */
const named = (prompt: string) => ({ prompt, request: `a request for ${prompt}` });

describe('the suspects of a death', () => {
  let clock: SimulatedClock;
  let suspects: Suspects;
  let verdicts: string[];
  let trusted: boolean;
  let hearsOthers: boolean;
  let published: string[];
  /** The incarnations that are cut off. */
  let silent: Set<string>;

  beforeEach(() => {
    clock = new SimulatedClock();
    verdicts = [];
    trusted = false;
    hearsOthers = true;
    published = [];
    silent = new Set();
    suspects = new Suspects({
      clock,
      trusts: () => trusted,
      fellSilent: (instance) => silent.has(instance),
      isConvicted: () => false,
      isRefused: () => false,
      hearsOthers: () => hearsOthers,
      onWitnessed: ({ worker }, witnesses) => published.push(`${worker}: ${[...witnesses.keys()].join(' ')}`),
      claims: new Claims({ clock, self: 'c', alone: () => true, tell: () => true, onReleased: () => {} }),
      serving: () => 4,
      alone: () => true,
      onCleared: () => {},
      onVerdict: ({ prompt }, workers) => verdicts.push(`${prompt}: ${workers.join(' ')}`),
    });
  });

  /** A prompt that has begun on a worker. */
  function begun(prompt: string, worker: string, resumed = 0) {
    const trial = suspects.begin(named(prompt), worker, '1', resumed);
    trial.started();
    return trial;
  }
  /** The worker dies, and its requests notice it. */
  async function dies(worker: string, ...trials: ReturnType<typeof begun>[]): Promise<void> {
    for (const trial of trials) {
      trial.lost();
      trial.over();
    }
    suspects.dead(worker, '1', false);
    await clock.advance(1_000);
  }

  it('are the prompts that had begun and the next in line, whose start may be lost, but none behind it', async () => {
    const a = begun('a', 'w1');
    const [b, c] = [suspects.begin(named('b'), 'w1', '1', 0), suspects.begin(named('c'), 'w1', '1', 0)];
    await dies('w1', c, b, a);
    expect(['a', 'b', 'c'].map((prompt) => suspects.isSuspect(named(prompt)))).toEqual([true, true, false]);
  });

  it('include prompts whose clients have not noticed the loss, or gave up shortly before', async () => {
    begun('slow', 'w1');
    begun('cancelled', 'w1').over();
    await dies('w1');
    expect([suspects.isSuspect(named('slow')), suspects.isSuspect(named('cancelled'))]).toEqual([true, true]);
  });

  it('are none if the worker left, was fenced off, is heard again, or remains a trusted member', async () => {
    const ends = [
      () => suspects.spared('w1', '1'),
      () => suspects.dead('w1', '1', true),
      () => suspects.lives('w1', '1'),
      async () => {
        trusted = true;
        await clock.advance(FATE_WAIT_MS);
      },
    ];
    for (const [i, end] of ends.entries()) {
      const trial = begun(`p${i}`, 'w1');
      // A fenced worker's calls fail after membership has told.
      if (i === 1) await end();
      const { fate } = trial.lost();
      trial.over();
      await end();
      expect([i, suspects.isSuspect(named(`p${i}`))]).toEqual([i, false]);
      if (i !== 1) expect(fate).toBe('unknown');
      suspects.lives('w1', '1');
    }
  });

  it('include the prompts of a worker whose connection closed before a newer incarnation came', async () => {
    begun('a', 'w1');
    suspects.unlink('w1', '1');
    suspects.dead('w1', '1', true);
    expect(suspects.isSuspect(named('a'))).toBe(true);
  });

  it('are nobody if somebody killed the worker, whether that is known before its loss or after its death', async () => {
    suspects.killed('w1', '1');
    await dies('w1', begun('a', 'w1'));
    expect(suspects.isSuspect(named('a'))).toBe(false);
    await dies('w2', begun('a', 'w2'));
    expect(suspects.isSuspect(named('a'))).toBe(true);
    suspects.killed('w2', '1');
    expect([suspects.isSuspect(named('a')), suspects.gate(named('a'))]).toMatchObject([
      false,
      { kind: 'free', proven: false },
    ]);
    await dies('w3', begun('a', 'w3'));
    expect(verdicts).toEqual([]);
    await dies('w4', begun('a', 'w4'));
    expect(verdicts).toEqual(['a: w3 w4']);
  });

  it('are nobody if the worker fell silent, however often', async () => {
    silent = new Set(['w1 1', 'w2 1', 'w3 1']);
    for (const worker of ['w1', 'w2', 'w3']) await dies(worker, begun('a', worker));
    expect([verdicts, suspects.isSuspect(named('a'))]).toEqual([[], false]);
    // They are no killings either, which would need a third death.
    for (const worker of ['w4', 'w5']) await dies(worker, begun('a', worker));
    expect(verdicts).toEqual(['a: w4 w5']);
  });

  it('run on workers without other suspects, one copy at a time', async () => {
    await dies('w1', begun('a', 'w1'), begun('b', 'w1'));
    const a = begun('a', 'w2');
    expect(suspects.gate(named('b'))).toEqual({ kind: 'probation', avoid: new Set(['w2']) });
    expect(suspects.gate(named('a'))).toMatchObject({ kind: 'wait', why: 'probation' });
    expect(suspects.gate(named('c'))).toEqual({ kind: 'free', proven: false, avoid: new Set(['w2']) });
    a.generated(CLEARING_TOKENS);
    expect(suspects.isSuspect(named('a'))).toBe(true);
    await clock.advance(1_000);
    a.generated(1);
    expect(suspects.isSuspect(named('a'))).toBe(false);
    expect(suspects.gate(named('b'))).toEqual({ kind: 'probation', avoid: new Set() });
  });

  it('wait for the verdict on a second death, which convicts one that witnessed it alone', async () => {
    await dies('w1', begun('a', 'w1'), begun('b', 'w1'));
    const a = begun('a', 'w2');
    a.lost();
    a.over();
    expect(suspects.gate(named('a'))).toMatchObject({ kind: 'wait', why: 'verdict' });
    await dies('w2');
    expect(verdicts).toEqual(['a: w1 w2']);
    // The first death may have been of the other one.
    expect([suspects.isSuspect(named('b')), suspects.gate(named('b')).kind]).toEqual([true, 'probation']);
  });

  it('are not convicted in company, whatever else they witnessed, because that may be poisonous too', async () => {
    await dies('w1', begun('a', 'w1'), begun('b', 'w1'));
    await dies('w2', begun('a', 'w2'), begun('c', 'w2'));
    await dies('w3', begun('a', 'w3'), begun('d', 'w3'));
    expect(verdicts).toEqual([]);
    for (const [i, prompt] of ['b', 'c', 'd'].entries()) await dies(`p${i}`, begun(prompt, `p${i}`));
    expect(verdicts).toEqual(['b: w1 p0', 'c: w2 p1', 'd: w3 p2']);
  });

  it('reserve a worker, half of the workers at most, those first that died with fewer tokens', async () => {
    const [late, early] = [begun('late', 'w1'), begun('early', 'w1')];
    late.generated(5);
    await dies('w1', late, early, begun('third', 'w1'));
    const { probation } = suspects;
    probation.enqueue('late');
    expect(suspects.gate(named('late')).kind).toBe('probation');
    for (const prompt of ['early', 'third']) probation.enqueue(prompt);
    expect(suspects.gate(named('late'))).toMatchObject({ kind: 'wait', why: 'probation' });
    const innocent = begun('innocent', 'w2');
    const reserved = (await probation.reserve(named('early'), 'w2', '1'))!;
    expect(suspects.gate(named('other')).avoid).toEqual(new Set(['w2']));
    expect(probation.isAlone(reserved)).toBe(false);
    innocent.complete();
    innocent.over();
    expect(probation.isAlone(reserved)).toBe(true);
    expect(suspects.gate(named('third'))).toEqual({ kind: 'probation', avoid: new Set(['w2']) });
    await probation.reserve(named('third'), 'w3', '1');
    expect(suspects.gate(named('late')).kind).toBe('wait');
    probation.release(reserved);
    probation.dequeue('early');
    expect(suspects.gate(named('late')).kind).toBe('probation');
  });

  it('are not convicted if another one has witnessed as many deaths', async () => {
    await dies('w1', begun('a', 'w1'), begun('b', 'w1'));
    await dies('w2', begun('a', 'w2'), begun('b', 'w2'));
    expect(verdicts).toEqual([]);
    await dies('w3', begun('a', 'w3'));
    expect(verdicts).toEqual(['a: w1 w2 w3']);
  });

  it('are not convicted before the witnesses of other coordinators can be known', async () => {
    hearsOthers = false;
    await dies('w1', begun('a', 'w1'));
    await dies('w2', begun('a', 'w2'));
    expect([verdicts, suspects.gate(named('a'))]).toMatchObject([[], { kind: 'wait', why: 'verdict' }]);
    // Another coordinator has the prompt that crashed both, and hears of this one's again and again.
    published = [];
    await clock.advance(500);
    expect(published).toEqual(expect.arrayContaining(['w1: a', 'w2: a']));
    const witness = { request: 'r', tokens: 0, fresh: 0, placedMs: clock.now() };
    for (const worker of ['w1', 'w2'])
      suspects.witnessedElsewhere({ worker, incarnation: '1', atMs: clock.now() }, new Map([['poison', witness]]));
    hearsOthers = true;
    await clock.advance(500);
    expect([verdicts, suspects.gate(named('a')).kind]).toEqual([[], 'probation']);
  });

  it('are convicted after a while even if no other coordinator can be heard', async () => {
    hearsOthers = false;
    await dies('w1', begun('a', 'w1'));
    await dies('w2', begun('a', 'w2'));
    await clock.advance(JUDGE_DEAF_MS);
    expect(verdicts).toEqual(['a: w1 w2']);
  });

  it('need three deaths while workers are being killed from outside', async () => {
    for (const worker of ['k1', 'k2', 'k3']) await dies(worker);
    await dies('w1', begun('a', 'w1'));
    await dies('w2', begun('a', 'w2'));
    expect(verdicts).toEqual([]);
    await dies('w3', begun('a', 'w3'));
    expect(verdicts).toEqual(['a: w1 w2 w3']);
  });

  it('are not convicted as popular prompts whose copies ran on two killed workers', async () => {
    begun('a', 'w0').complete();
    const [first, second] = [begun('a', 'w1'), begun('a', 'w2')];
    first.generated(5);
    second.generated(80);
    await clock.advance(1);
    await dies('w1', first);
    await dies('w2', second);
    expect(verdicts).toEqual([]);
  });
});
