import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../src/clock.js';
import { createLog } from '../../src/log.js';
import { PACE_MS, PACED_KINDS, PacedLog } from '../../src/paced-log.js';

describe('a paced log', () => {
  function logging() {
    const lines: { msg: string; peer?: string; repeats?: number; agoMs?: number; n?: number }[] = [];
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
      { n: 299, repeats: 299, agoMs: 100 },
      { n: 599, repeats: 300 },
      { n: 899, repeats: 300 },
      { n: 999, repeats: 100 },
    ]);
    expect(lines[0]).not.toHaveProperty('repeats');
  });

  it('ends with the latest state however often it changes, and says when that was', async () => {
    const { lines, clock, log } = logging();
    for (let n = 0; n < 10; n++) {
      log.state('nats', 'warn', {}, 'lost NATS');
      await clock.advance(300);
      log.state('nats', 'warn', {}, 'connected to NATS again');
      await clock.advance(1_700);
    }
    await clock.advance(2 * PACE_MS);
    expect(lines).toMatchObject([
      { msg: 'lost NATS' },
      { msg: 'connected to NATS again' },
      { msg: 'connected to NATS again', repeats: 18, agoMs: PACE_MS - 18_300 },
    ]);
  });

  it('does not repeat a state at once, and tells the next one at once', async () => {
    const { lines, clock, log } = logging();
    for (let n = 0; n < 3; n++) log.state('files', 'error', {}, 'can open no more files');
    await clock.advance(PACE_MS);
    log.state('files', 'error', {}, 'can open files again');
    expect(lines).toMatchObject([
      { msg: 'can open no more files' },
      { msg: 'can open no more files', repeats: 2 },
      { msg: 'can open files again' },
    ]);
  });

  it('tells the state of each peer, whatever the reason', () => {
    const { lines, log } = logging();
    for (const peer of ['a', 'b'])
      for (const reason of ['reset', 'refused', 'timeout'])
        log.state('link', 'info', { peer, reason }, `lost: ${reason}`);
    expect(lines.map(({ peer, msg }) => `${peer} ${msg}`)).toEqual([
      'a lost: reset',
      'a lost: refused',
      'b lost: reset',
      'b lost: refused',
    ]);
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
