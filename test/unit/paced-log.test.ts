import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../src/clock.js';
import { createLog } from '../../src/log.js';
import { PACE_MS, PACED_KINDS, PacedLog } from '../../src/paced-log.js';

describe('a paced log', () => {
  function logging() {
    const lines: { msg: string; peer?: string; repeats?: number; n?: number }[] = [];
    const clock = new SimulatedClock();
    const inner = createLog({ level: 'debug', write: (line) => lines.push(JSON.parse(line)) });
    return { lines, clock, log: new PacedLog(inner, clock) };
  }

  it('writes the first line at once, and of those that follow the last one every 30 s with their number', async () => {
    const { lines, clock, log } = logging();
    for (let n = 0; n < 1_000; n++) {
      log.warn({ n }, 'hears nobody');
      await clock.advance(100);
    }
    await clock.advance(PACE_MS);
    expect(lines).toMatchObject([
      { n: 0, msg: 'hears nobody' },
      { n: 299, repeats: 299 },
      { n: 599, repeats: 300 },
      { n: 899, repeats: 300 },
      { n: 999, repeats: 100 },
    ]);
    expect(lines[0]).not.toHaveProperty('repeats');
  });

  it('ends with what was true last when two states take turns', async () => {
    const { lines, clock, log } = logging();
    for (let n = 0; n < 50; n++) {
      log.warn({}, 'hears nobody');
      await clock.advance(300);
      log.info({}, 'hears the fleet again');
      await clock.advance(400);
    }
    await clock.advance(2 * PACE_MS);
    expect(lines.length).toBeLessThanOrEqual(6);
    expect(lines.at(-1)!.msg).toBe('hears the fleet again');
  });

  it('writes at once again after 30 s without a line', async () => {
    const { lines, clock, log } = logging();
    log.warn({}, 'lost NATS');
    await clock.advance(PACE_MS);
    log.warn({}, 'lost NATS');
    expect(lines).toHaveLength(2);
    expect(lines[1]).not.toHaveProperty('repeats');
  });

  it('tells lines apart by what they are about, and errors by their messages', () => {
    const { lines, log } = logging();
    for (const peer of ['a', 'b', 'a', 'b']) log.warn({ peer, err: new Error('reset') }, 'lost a connection');
    log.warn({ peer: 'a', err: new Error('refused') }, 'lost a connection');
    expect(lines.map(({ peer }) => peer)).toEqual(['a', 'b', 'a']);
  });

  it('remembers a bounded number of kinds, and forgets those of which no lines come', async () => {
    const { lines, clock, log } = logging();
    for (let n = 0; n < 10 * PACED_KINDS; n++) log.warn({ peer: `p${n}` }, 'lost a connection');
    expect(lines).toHaveLength(PACED_KINDS + 1);
    await clock.advance(2 * PACE_MS);
    expect(lines).toHaveLength(PACED_KINDS + 2);
    expect(lines.at(-1)!.repeats).toBe(9 * PACED_KINDS - 1);
    expect(clock.nextAtMs()).toBeNull();
  });

  it('does not limit lines for debugging', () => {
    const { lines, log } = logging();
    for (let n = 0; n < 3; n++) log.debug({}, 'detail');
    expect(lines).toHaveLength(3);
  });
});
