import { closeSync, constants, ftruncateSync, openSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { liveHandles } from '../../../src/native/handle.js';
import { mapFile, neverShrinks } from '../../../src/native/libc.js';
import { SharedMemory } from '../../../src/native/shared-memory.js';

const BYTES = 1 << 20;

describe.runIf(process.platform === 'linux')('shared memory', () => {
  let memory: SharedMemory;
  const path = () => `/proc/self/fd/${memory.fileDescriptor}`;

  beforeEach(() => {
    memory = SharedMemory.allocate(BYTES)!;
  });

  afterEach(() => {
    memory.release();
    expect(liveHandles().memory).toBeUndefined();
  });

  it('is writable for its owner only', () => {
    memory.bytes.fill(7);
    const file = openSync(path(), constants.O_RDWR);
    expect(mapFile(file, BYTES, 'write')).toBeNull();
    closeSync(file);
    expect(memory.bytes[BYTES - 1]).toBe(7);
  });

  it('cannot change its size', () => {
    expect(neverShrinks(memory.fileDescriptor)).toBe(true);
    expect(() => ftruncateSync(memory.fileDescriptor, 1)).toThrow();
  });

  it('keeps its contents while it is committed', async () => {
    memory.bytes[5] = 9;
    await memory.commit(0, BYTES);
    expect([...memory.bytes.subarray(4, 7)]).toEqual([0, 9, 0]);
  });
});
