import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { MemoryKeyValue } from '../../../src/bus/memory-key-value.js';
import { StoreState } from '../../../src/bus/store-state.js';
import type { Transport } from '../../../src/bus/transport.js';
import { SimulatedClock } from '../../../src/clock.js';
import { Unavailable } from '../../../src/errors.js';
import { storeCheck } from '../../../src/fleet/store-check.js';
import type { Log } from '../../../src/log.js';
import { PacedLog } from '../../../src/paced-log.js';

describe('the check of a store that did not work', () => {
  let full: boolean;
  let writes: number;
  let state: StoreState;
  let lines: string[];
  let check: () => Promise<void>;

  beforeEach(() => {
    [full, writes, state, lines] = [false, 0, new StoreState(), []];
    const bucket = new MemoryKeyValue();
    bucket.delete = async () => {
      writes++;
      if (full) throw new Unavailable('the disk is full');
      state.answered('fleet', 'write');
    };
    const transport: Transport = {
      bus: new MemoryBroker().connect('c'),
      openKeyValue: async () => bucket,
      storeFault: () => state.fault,
    };
    const say = (_: object, text: string) => void lines.push(text);
    const log: Log = { debug: say, warn: say, error: say, info: say, child: () => log };
    check = storeCheck(transport, new Map([['fleet', async () => bucket]]), new PacedLog(log, new SimulatedClock()));
  });

  it('writes nothing while the store works', async () => {
    await check();
    expect([writes, lines]).toEqual([0, []]);
  });

  it('finds out that the store works again though nobody else writes, and logs both once', async () => {
    full = true;
    state.failed('fleet', { of: 'writes', holdsUp: false, why: 'the disk is full' }, 0, 'server');
    for (let i = 0; i < 3; i++) await expect(check()).rejects.toThrow(Unavailable);
    state.answered('fleet', 'read');
    state.answered('another', 'write');
    expect(state.fault).not.toBeNull();
    full = false;
    await check();
    await check();
    expect(state.fault).toBeNull();
    expect(lines).toEqual([expect.stringContaining('the disk is full'), 'the store of the fleet works again']);
  });

  it('takes a read as proof where the store had not answered at all', () => {
    state.failed('fleet', { of: 'all', holdsUp: true, why: 'silence' }, 0, 'server');
    state.answered('fleet', 'read');
    expect(state.fault).toBeNull();
  });

  it('leaves a silent store alone for a while, and asks another server at once', () => {
    const one = new StoreState(1_000);
    one.failed('k', { of: 'writes', holdsUp: false, why: 'full' }, 0, 'a');
    expect(one.pausedBecause('k', 'write', 1, 'a')).toBeNull();
    one.failed('k', { of: 'all', holdsUp: true, why: 'silence' }, 0, 'a');
    const paused = (nowMs: number, server: string) => one.pausedBecause('k', 'read', nowMs, server);
    expect([paused(999, 'a'), paused(1_000, 'a'), paused(1, 'b')]).toEqual(['silence', null, null]);
  });
});
