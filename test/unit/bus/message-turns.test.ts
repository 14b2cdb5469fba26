import { describe, expect, it, vi } from 'vitest';
import type { BusMessage } from '../../../src/bus/bus.js';
import { MESSAGE_TURN_MS, MessageTurns } from '../../../src/bus/message-turns.js';

const message = (number: number, bytes = 1): BusMessage => ({
  subject: String(number),
  payload: new Uint8Array(bytes),
  reply: null,
  nobody: false,
});

/** Turns of a loop that this test runs, with a clock of its own. */
class Loop {
  nowMs = 0;
  readonly due: (() => void)[] = [];
  readonly errors: unknown[] = [];
  readonly handled: number[] = [];
  readonly lost: string[] = [];
  readonly turns = new MessageTurns(
    (error) => this.errors.push(error),
    (subject) => this.lost.push(subject),
    () => this.nowMs,
    (begin) => this.due.push(begin),
  );

  /** A message whose handling takes so long. */
  take(number: number, ms: number, bytes = 1): void {
    this.turns.take(message(number, bytes), ({ subject }) => {
      this.nowMs += ms;
      this.handled.push(Number(subject));
    });
  }

  get busy(): boolean {
    return !this.turns.areOver(this.turns.waited);
  }

  turn(): void {
    expect(this.due).toHaveLength(1);
    this.due.shift()!();
  }
}

describe('messages in turns of the event loop', () => {
  it('are handled at once while there is time', () => {
    const loop = new Loop();
    for (let i = 0; i < 5; i++) loop.take(i, 1);
    expect(loop.handled).toEqual([0, 1, 2, 3, 4]);
    expect(loop.busy).toBe(false);
    loop.turn();
    expect(loop.due).toEqual([]);
  });

  it('are over for those who wait for what has come, although ever more comes', () => {
    const loop = new Loop();
    for (let i = 0; i < 20; i++) loop.take(i, 5);
    const { waited } = loop.turns;
    let turns = 0;
    for (let next = 20; !loop.turns.areOver(waited); turns++) {
      loop.turn();
      for (const end = next + 10; next < end; next++) loop.take(next, 5);
    }
    expect(turns).toBe(9);
    expect(loop.handled).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(loop.busy).toBe(true);
  });

  it('wait in their order once a turn has taken its time, and those that come meanwhile after them', () => {
    const loop = new Loop();
    const perTurn = MESSAGE_TURN_MS / 5;
    for (let i = 0; i < 3 * perTurn; i++) loop.take(i, 5);
    expect(loop.handled).toHaveLength(perTurn);
    expect(loop.busy).toBe(true);
    loop.turn();
    expect(loop.handled).toHaveLength(2 * perTurn);
    loop.take(3 * perTurn, 5);
    for (let turns = 0; loop.busy; turns++) {
      expect(turns).toBeLessThan(3);
      const before = loop.nowMs;
      loop.turn();
      expect(loop.nowMs - before).toBeLessThanOrEqual(MESSAGE_TURN_MS);
    }
    expect(loop.handled).toEqual(Array.from({ length: 3 * perTurn + 1 }, (_, i) => i));
  });

  it('are lost, the oldest of the subject with the most first, when too many bytes wait', () => {
    const loop = new Loop();
    loop.take(0, MESSAGE_TURN_MS);
    loop.take(1, 0, 2 ** 20);
    const flood: number[] = [];
    for (let i = 0; i < 20; i++) {
      loop.turns.take({ ...message(0, 2 ** 20), subject: 'flood' }, () => flood.push(i));
      if (i === 10) loop.take(2, 0, 2 ** 20);
    }
    expect([loop.handled, flood]).toEqual([[0], []]);
    expect(loop.lost).toEqual(Array.from({ length: 7 }, () => 'flood'));
    loop.turn();
    expect(loop.handled).toEqual([0, 1, 2]);
    expect(flood).toEqual(Array.from({ length: 13 }, (_, i) => i + 7));
    expect(loop.busy).toBe(false);
  });

  it('are lost without a look at each of their subjects, of which a flood may have one for each message', () => {
    const loop = new Loop();
    loop.take(0, MESSAGE_TURN_MS);
    const bytes = 2 ** 10;
    let next = 1;
    while (loop.lost.length === 0) loop.take(next++, 0, bytes);
    // What a scan of a map or a set would call.
    const [maps, sets] = [new Map(), new Set()].map((each) => Object.getPrototypeOf(each.values()));
    const steps = [vi.spyOn(maps, 'next'), vi.spyOn(sets, 'next')];
    for (let i = 0; i < 100; i++) loop.take(next++, 0, bytes);
    const taken = steps.reduce((sum, { mock }) => sum + mock.calls.length, 0);
    vi.restoreAllMocks();
    expect(loop.lost.length).toBeGreaterThanOrEqual(100);
    expect(taken).toBeLessThan(1_000);
    const waiting = next - 1 - loop.lost.length;
    loop.turn();
    expect(loop.handled).toHaveLength(1 + waiting);
    expect(loop.busy).toBe(false);
  });

  it('are lost by sender where senders are named, and those of nobody do not wait', () => {
    const loop = new Loop();
    loop.take(0, MESSAGE_TURN_MS);
    const sender = ({ subject }: BusMessage) => (subject === 'nobody' ? null : subject.split(' ')[0]!);
    const got: string[] = [];
    const take = (subject: string) =>
      loop.turns.take({ ...message(0, 2 ** 20), subject }, () => got.push(subject), sender);
    // The member has more on one subject than the flood has on any.
    for (let i = 0; i < 4; i++) take('member news');
    for (let i = 0; i < 40; i++) take(`flood ${i}`);
    take('nobody');
    expect(loop.lost.every((subject) => subject.startsWith('flood'))).toBe(true);
    loop.turn();
    expect(got.filter((subject) => subject === 'member news')).toHaveLength(4);
    expect(got).not.toContain('nobody');
    expect(loop.busy).toBe(false);
  });

  it('do not keep others from being handled when one fails', () => {
    const loop = new Loop();
    loop.take(0, MESSAGE_TURN_MS);
    const failing = new Error('of a handler');
    loop.turns.take(message(1), () => {
      throw failing;
    });
    loop.take(2, 0);
    loop.turn();
    expect(loop.errors).toEqual([failing]);
    expect(loop.handled).toEqual([0, 2]);
  });
});
