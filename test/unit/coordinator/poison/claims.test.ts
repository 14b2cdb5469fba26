import { beforeEach, describe, expect, it } from 'vitest';
import { Claims } from '../../../../coordinator/poison/claims.js';
import { SimulatedClock } from '../../../../src/clock.js';

describe('claims of workers for a prompt', () => {
  let clock: SimulatedClock;
  /** Messages on the bus, which brings them to all coordinators in the same order. */
  let bus: (() => void)[];
  let connected: boolean;
  let all: Claims[];
  let alone: boolean;

  beforeEach(() => {
    clock = new SimulatedClock();
    bus = [];
    connected = true;
    alone = false;
    all = ['a', 'b', 'c'].map(
      (self): Claims =>
        new Claims({
          ...{ clock, self, alone: () => alone, onReleased: () => {} },
          tell: (message) => {
            if (connected) bus.push(() => all.forEach((claims) => void claims.hear(message)));
            return connected;
          },
        }),
    );
  });

  async function delivered<T>(outcome: Promise<T>): Promise<T> {
    for (let message = bus.shift(); message; message = bus.shift()) message();
    await clock.advance(100);
    for (let message = bus.shift(); message; message = bus.shift()) message();
    return outcome;
  }
  const claimed = (workers: readonly string[], most: number) =>
    delivered(Promise.all(workers.map((worker, i) => all[i]!.claim('p', worker, most, false))));

  it('are won by the first of several at once, and by those that claim the same worker', async () => {
    expect(await claimed(['w1', 'w1', 'w2'], 1)).toEqual([true, true, false]);
    for (const claims of all) expect([...claims.workersOf('p')]).toEqual(['w1']);
  });

  it('are won by as many workers as the prompt may run on', async () => {
    expect(await claimed(['w1', 'w2', 'w3'], 2)).toEqual([true, true, false]);
  });

  it('are free again once they are released, or the prompt has proved harmless', async () => {
    await claimed(['w1', 'w2'], 2);
    all[0]!.release('p', 'w1');
    all[1]!.releaseAll('p');
    await delivered(Promise.resolve());
    for (const claims of all) expect([...claims.workersOf('p')]).toEqual([]);
    expect(await claimed(['w3'], 1)).toEqual([true]);
  });

  it('of one coordinator for several copies on a worker last as long as the last of them', async () => {
    await claimed(['w1'], 1);
    await claimed(['w1'], 1);
    all[0]!.release('p', 'w1');
    expect([...all[0]!.workersOf('p')]).toEqual(['w1']);
    all[0]!.release('p', 'w1');
    expect([...all[0]!.workersOf('p')]).toEqual([]);
  });

  it('tell where others run suspects, until those are cleared', async () => {
    await delivered(all[0]!.claim('p', 'w1', 1, true));
    expect(all[1]!.suspectClaims('p').map(({ worker }) => worker)).toEqual(['w1']);
    expect([await delivered(all[1]!.claim('q', 'w1', 1, false)), all[1]!.suspectClaims('q')]).toEqual([false, []]);
    all[1]!.cleared('p');
    expect(all[1]!.suspectClaims('p')).toEqual([]);
    expect(await delivered(all[1]!.claim('q', 'w1', 1, false))).toBe(true);
    expect([...all[1]!.workersOf('p')]).toEqual(['w1']);
  });

  it('of a worker for different suspects are won by the first, whose claim excludes other prompts', async () => {
    const asked = ['p', 'q', 'r'].map((prompt, i) => all[i]!.claim(prompt, 'w1', 1, i < 2));
    expect(await delivered(Promise.all(asked))).toEqual([true, false, false]);
  });

  it('remain as evidence of a coordinator that died with the worker', async () => {
    await delivered(all[0]!.claim('p', 'w1', 1, false));
    expect(all[1]!.bury('w2', clock.now())).toEqual([]);
    expect(all[1]!.bury('w1', clock.now())).toEqual(['p']);
    expect(all[1]!.bury('w1', clock.now())).toEqual([]);
  });

  it('need no bus: without one, and for the only coordinator, they are won at once', async () => {
    connected = false;
    expect(await all[0]!.claim('p', 'w1', 1, false)).toBe(true);
    alone = true;
    expect(await all[1]!.claim('p', 'w2', 1, false)).toBe(true);
  });

  it('do not wait long for a bus that brings nothing, and are forgotten after a minute', async () => {
    const slow = all[0]!.claim('p', 'w1', 1, false);
    await clock.advance(100);
    expect(await slow).toBe(true);
    await delivered(Promise.resolve());
    expect([...all[1]!.workersOf('p')]).toEqual(['w1']);
    await clock.advance(60_000);
    expect([...all[1]!.workersOf('p')]).toEqual([]);
  });
});
