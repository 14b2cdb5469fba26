import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { settled } from '../../../../src/clock.js';
import { HOST_SLAB_BYTES } from '../../../../src/device/block-pool.js';
import { Unavailable } from '../../../../src/errors.js';
import { OrtRuntime } from '../../../../src/ort/runtime.js';
import { Staging } from '../../../../workers/cache/staging.js';
import { refuseMemory } from '../support/no-memory.js';

describe('staging memory', () => {
  let runtime: OrtRuntime;
  let staging: Staging;

  beforeEach(() => {
    runtime = OrtRuntime.open();
  });
  afterEach(() => {
    vi.restoreAllMocks();
    staging.close();
    runtime.release();
  });

  it('is granted in the order of requests, once it is free', async () => {
    staging = new Staging(runtime, 64, 2);
    const [first, second] = [await staging.take(), staging.takeAtOnce()!];
    expect(staging.takeAtOnce()).toBeNull();
    const given: string[] = [];
    const wait = async (name: string) => {
      const buffer = await staging.take();
      given.push(name);
      return buffer;
    };
    const [third, fourth] = [wait('third'), wait('fourth')];
    first.release();
    first.release();
    await settled();
    expect(given).toEqual(['third']);
    second.release();
    for (const buffer of await Promise.all([third, fourth])) buffer.release();
  });

  it('is held for a disk in part only, so that the rest comes and goes', () => {
    staging = new Staging(runtime, 64, 8);
    const buffers = Array.from({ length: 8 }, () => staging.takeAtOnce()!);
    expect(buffers.map((buffer) => buffer.linger())).toEqual([true, true, true, false, false, false, false, false]);
    expect(staging.quickBlocks).toBe(4);
    buffers[3]!.release();
    expect(buffers[4]!.linger()).toBe(false);
    buffers[0]!.release();
    expect([buffers[1]!.linger(), buffers[4]!.linger(), buffers[5]!.linger()]).toEqual([true, true, false]);
    for (const buffer of buffers) buffer.release();
  });

  it.each([
    [1, 1],
    [2, 1],
    [3, 2],
  ])('of %i blocks has %i that no disk can hold up', (blocks, quick) => {
    staging = new Staging(runtime, 64, blocks);
    expect(staging.quickBlocks).toBe(quick);
    const buffer = staging.takeAtOnce()!;
    expect(buffer.linger()).toBe(false);
    buffer.release();
  });

  it('fails requests if the system has none, and lets none of them wait', async () => {
    refuseMemory();
    staging = new Staging(runtime, 64, 2);
    const asked = await Promise.allSettled(Array.from({ length: 5 }, () => staging.take()));
    for (const outcome of asked) expect(outcome).toMatchObject({ reason: expect.any(Unavailable) });
    expect(staging.takeAtOnce()).toBeNull();
    await expect(staging.take()).rejects.toThrow('no host memory');
    expect(staging.blocks).toBe(0);
  });

  it('makes requests wait if the system has less of it than planned', async () => {
    // Each so large that the system is asked for it alone.
    staging = new Staging(runtime, HOST_SLAB_BYTES, 3);
    const held = await staging.take();
    refuseMemory();
    let given = 0;
    const waiting = Array.from({ length: 4 }, async () => {
      const buffer = await staging.take();
      given++;
      buffer.release();
    });
    await settled();
    expect([given, staging.blocks, staging.takeAtOnce()]).toEqual([0, 1, null]);
    held.release();
    await Promise.all(waiting);
    const again = staging.takeAtOnce()!;
    expect(staging.takeAtOnce()).toBeNull();
    again.release();
  });
});
