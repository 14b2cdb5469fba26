import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../../src/clock.js';
import { objectName } from '../../../../src/objects/object-name.js';
import { ObjectValue } from '../../../../src/objects/object-value.js';
import { WorkerObjects } from '../../../../workers/objects/worker-objects.js';
import { ALONE } from '../../resp/support/resp-station.js';

/** Work over all values of a tenant, who may have hundreds of thousands: other clients of the worker are answered meanwhile. */

const signal = new AbortController().signal;
const named = (i: number) => objectName('a', Buffer.from(`k${i}`));

describe('a worker with many values of one tenant', () => {
  let objects: WorkerObjects;
  beforeEach(async () => {
    const clock = new SimulatedClock();
    objects = new WorkerObjects({
      self: { id: 'w', incarnation: '1' },
      budgetBytes: 64 * 2 ** 20,
      ring: ALONE,
      clock,
      wallMs: () => clock.now(),
      peerOf: () => null,
      events: { gone: () => {}, moved: () => {}, full: () => {} },
    });
    objects.start();
    while (!objects.settled) await clock.advance(10);
    for (let i = 0; i < 1_000; i++) await write(i);
  });
  afterEach(() => objects.stop());

  async function write(i: number): Promise<void> {
    const value = ObjectValue.of(Buffer.of(1));
    const rest = { contentType: null, expiry: { kind: 'never' }, condition: { kind: 'always' } } as const;
    await objects.home.write(named(i), value, { fields: {}, token: String(Math.random()), ...rest }, signal);
    value.release();
  }

  /** Turns of the event loop that others had. */
  async function turnsDuring(work: Promise<unknown>): Promise<number> {
    let turns = 0;
    let over = false;
    const next = () => {
      turns++;
      if (!over) setImmediate(next);
    };
    setImmediate(next);
    await work.finally(() => {
      over = true;
    });
    return turns;
  }

  it('counts and flushes them in turns of the event loop', async () => {
    expect(await objects.home.count('a')).toBe(1_000);
    expect(await turnsDuring(objects.home.count('a'))).toBeGreaterThanOrEqual(3);
    expect(await turnsDuring(objects.home.flush('a'))).toBeGreaterThanOrEqual(10);
    expect(await objects.home.count('a')).toBe(0);
    expect(objects.store.objects).toBe(0);
  });

  it('has none of them as soon as a flush has begun, and keeps what is written later', async () => {
    const flushed = objects.home.flush('a');
    const names = Array.from({ length: 1_000 }, (_, i) => named(i));
    expect((await objects.home.look(names, signal)).filter((info) => info !== null)).toEqual([]);
    const retimed = await objects.home.retime(named(999), { kind: 'never' }, { kind: 'present' }, signal);
    expect(retimed).toMatchObject({ type: 'unmet' });
    await write(999);
    await flushed;
    expect(await objects.home.count('a')).toBe(1);
  });
});
