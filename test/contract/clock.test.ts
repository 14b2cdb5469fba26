import { describe, expect, test } from 'vitest';
import { type Clock, SimulatedClock, SystemClock } from '../../src/clock.js';

const clocks: [string, () => { clock: Clock; pass(ms: number): Promise<void> }][] = [
  ['SystemClock', () => ({ clock: new SystemClock(), pass: async () => undefined })],
  [
    'SimulatedClock',
    () => {
      const clock = new SimulatedClock(1_000);
      return { clock, pass: (ms) => clock.advance(ms) };
    },
  ],
];

describe.each(clocks)('%s', (_name, make) => {
  test('calls timers once, not early, and in order of time', async () => {
    const { clock, pass } = make();
    const startMs = clock.now();
    const fired: string[] = [];
    const done = Promise.all([
      new Promise<number>((resolve) => {
        clock.after(20, () => {
          fired.push('late');
          resolve(clock.now());
        });
      }),
      new Promise<number>((resolve) => {
        clock.after(5, () => {
          fired.push('early');
          resolve(clock.now());
        });
      }),
    ]);
    await pass(25);
    const [lateMs, earlyMs] = await done;
    expect(fired).toEqual(['early', 'late']);
    // System timers have a resolution of one millisecond.
    expect(earlyMs - startMs).toBeGreaterThanOrEqual(4);
    expect(lateMs - startMs).toBeGreaterThanOrEqual(19);
  });

  test('calls an interval timer until it is cancelled', async () => {
    const { clock, pass } = make();
    let count = 0;
    const done = new Promise<void>((resolve) => {
      const keepAlive = clock.after(60_000, () => undefined);
      const timer = clock.every(3, () => {
        count++;
        if (count < 3) return;
        timer.cancel();
        keepAlive.cancel();
        resolve();
      });
    });
    await pass(20);
    await done;
    expect(count).toBe(3);
  });

  test('does not call a cancelled timer; cancelling is idempotent', async () => {
    const { clock, pass } = make();
    let wrong = false;
    const timer = clock.after(1, () => {
      wrong = true;
    });
    timer.cancel();
    timer.cancel();
    const done = new Promise<void>((resolve) => void clock.after(5, resolve));
    await pass(10);
    await done;
    expect(wrong).toBe(false);
  });
});

describe('SimulatedClock', () => {
  test('stands still until it is moved, then shows each timer its own time', async () => {
    const clock = new SimulatedClock();
    const times: number[] = [];
    clock.every(10, () => times.push(clock.now()));
    clock.after(15, () => void clock.after(0, () => times.push(clock.now())));
    await clock.advance(9);
    expect(times).toEqual([]);
    await clock.advance(21);
    expect(times).toEqual([10, 15, 20, 30]);
    expect(clock.now()).toBe(30);
    expect(clock.nextAtMs()).toBe(40);
  });

  test('runs promise callbacks between timers', async () => {
    const clock = new SimulatedClock();
    const trace: string[] = [];
    clock.after(1, () => void Promise.resolve().then(() => trace.push('promise of the first')));
    clock.after(1, () => void trace.push('second'));
    await clock.advance(1);
    expect(trace).toEqual(['promise of the first', 'second']);
  });

  test('steps from timer to timer', () => {
    const clock = new SimulatedClock();
    clock.after(7, () => undefined);
    expect(clock.step()).toBe(true);
    expect(clock.now()).toBe(7);
    expect(clock.step()).toBe(false);
    expect(clock.nextAtMs()).toBeNull();
  });
});
