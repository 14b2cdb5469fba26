import { describe, expect, it } from 'vitest';
import { SimulatedClock, SystemClock, settled } from '../../../src/clock.js';
import { Profiler, profileRequest } from '../../../src/debug/profiler.js';
import { InvalidRequest, Overloaded } from '../../../src/errors.js';

const SECRET = `the prompt of somebody ${Math.random()}`;
const never = new AbortController().signal;
const aborted = AbortSignal.abort();

/** Keeps a string with a prompt reachable, in a property and in a closure. */
function holdPrompt() {
  const held = { text: `${SECRET} and more`, parts: SECRET.split(' ') };
  return () => held;
}

describe('a profile', () => {
  it.each(['cpu', 'heap', 'loop'] as const)('of the kind %s has no string of the heap', async (kind) => {
    const keep = holdPrompt();
    const profile = await new Profiler(new SystemClock()).take({ kind, ms: 50 }, never);
    expect(JSON.stringify(profile)).not.toContain('prompt of somebody');
    expect(keep().text).toContain(SECRET);
  });

  it('has what the tools need that show it', async () => {
    const profiler = new Profiler(new SystemClock());
    expect(await profiler.take({ kind: 'cpu', ms: 20 }, never)).toMatchObject({
      nodes: expect.any(Array),
      samples: expect.any(Array),
      timeDeltas: expect.any(Array),
    });
    expect(await profiler.take({ kind: 'heap', ms: 20 }, never)).toMatchObject({
      head: { children: expect.any(Array) },
      heap: { used_heap_size: expect.any(Number) },
      spaces: expect.any(Array),
    });
    expect(await profiler.take({ kind: 'loop', ms: 100 }, never)).toMatchObject({
      utilization: expect.any(Number),
      delay_ms: { p50: expect.any(Number), 'p99.9': expect.any(Number), max: expect.any(Number) },
    });
  });

  it('is taken one at a time, and ends when its time is over or nobody waits for it', async () => {
    const clock = new SimulatedClock();
    const profiler = new Profiler(clock);
    const first = profiler.take({ kind: 'loop', ms: 5_000 }, never);
    await expect(profiler.take({ kind: 'cpu', ms: 10 }, never)).rejects.toThrow(Overloaded);
    await clock.advance(5_000);
    await first;
    await profiler.take({ kind: 'loop', ms: 5_000 }, aborted);
    const leaving = new AbortController();
    const left = profiler.take({ kind: 'loop', ms: 5_000 }, leaving.signal);
    await settled();
    leaving.abort();
    await left;
  });

  it('is asked for by its kind and its time, within bounds', () => {
    const request = (query: string) => profileRequest(new URLSearchParams(query));
    expect(request('')).toEqual({ kind: 'cpu', ms: 10_000 });
    expect(request('kind=heap&seconds=60')).toEqual({ kind: 'heap', ms: 60_000 });
    for (const query of ['kind=snapshot', 'seconds=0', 'seconds=61', 'seconds=1.5', 'seconds=-1'])
      expect(() => request(query)).toThrow(InvalidRequest);
  });
});
