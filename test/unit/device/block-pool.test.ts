import { afterEach, beforeEach, expect, test } from 'vitest';
import { BlockPool } from '../../../src/device/block-pool.js';
import { liveHandles } from '../../../src/native/handle.js';
import { OrtRuntime } from '../../../src/ort/runtime.js';

const MiB = 1024 * 1024;

let runtime: OrtRuntime;
beforeEach(() => {
  runtime = OrtRuntime.open();
});
afterEach(() => {
  runtime.release();
  expect(liveHandles()).toEqual({});
});

test('reserves memory in slabs, on demand, and never more than the budget', () => {
  const pool = new BlockPool(runtime, 100 * MiB, 599 * MiB, 256 * MiB);
  expect(pool.reservedBytes).toBe(0);
  const reserved: number[] = [];
  const blocks = Array.from({ length: 5 }, () => {
    const block = pool.take()!;
    reserved.push(pool.reservedBytes / MiB);
    return block;
  });
  expect(reserved).toEqual([200, 200, 400, 400, 500]);
  expect(pool.take()).toBeNull();
  expect(liveHandles().memory).toBe(3);

  for (const [index, block] of blocks.entries()) {
    const bytes = pool.bytes(block);
    expect(bytes).toHaveLength(100 * MiB);
    bytes[0] = index;
    bytes[bytes.length - 1] = 100 + index;
  }
  for (const [index, block] of blocks.entries()) {
    expect([pool.bytes(block)[0], pool.bytes(block).at(-1)]).toEqual([index, 100 + index]);
    pool.give(block);
  }
  pool.close();
});

test('reserves one slab per block if a block is larger than a slab', () => {
  const pool = new BlockPool(runtime, 300 * MiB, 600 * MiB, 256 * MiB);
  const blocks = [pool.take()!, pool.take()!];
  expect(pool.take()).toBeNull();
  expect(liveHandles().memory).toBe(2);
  for (const block of blocks) pool.give(block);
  pool.close();
});

test('reserves slabs of half the largest view, without using physical memory before blocks are written', () => {
  const before = process.memoryUsage().rss;
  const pool = new BlockPool(runtime, 64 * MiB, 8192 * MiB);
  const block = pool.take()!;
  expect(pool.reservedBytes).toBe(2048 * MiB);
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * MiB);
  pool.give(block);
  pool.close();
});

test('shrinks when the system is out of memory, without asking again', async () => {
  const pool = new BlockPool(runtime, 2 ** 46, 2 ** 48, 2 ** 47);
  expect(pool.capacityBlocks).toBe(4);
  await pool.commitAhead();
  expect(pool.take()).toBeNull();
  expect([pool.size, pool.capacityBlocks, pool.reservedBytes]).toEqual([0, 0, 0]);
  expect(pool.take()).toBeNull();
  pool.close();
});

test('reuses the last freed place first', () => {
  const pool = new BlockPool(runtime, 64, 640);
  const [first, second] = [pool.take()!, pool.take()!];
  pool.bytes(first).fill(1);
  pool.bytes(second).fill(2);
  pool.give(second);
  pool.give(first);
  const again = pool.take()!;
  expect(pool.bytes(again)[0]).toBe(1);
  pool.give(again);
  pool.close();
});

test('commits memory ahead of use, across slabs, within the budget, without changing blocks', async () => {
  const pool = new BlockPool(runtime, 48 * MiB, 500 * MiB, 256 * MiB);
  const resident = () => process.memoryUsage().rss / MiB;
  const before = resident();
  await pool.commitAhead();
  expect(resident() - before).toBeGreaterThan(60);
  const blocks = Array.from({ length: 10 }, (_, index) => {
    const block = pool.take()!;
    pool.bytes(block).fill(index + 1);
    return block;
  });
  await pool.commitAhead();
  expect(pool.take()).toBeNull();
  expect(pool.reservedBytes).toBe(480 * MiB);
  for (const [index, block] of blocks.entries()) {
    const bytes = pool.bytes(block);
    expect([bytes[0], bytes[bytes.length >> 1], bytes.at(-1)]).toEqual([index + 1, index + 1, index + 1]);
    pool.give(block);
  }
  pool.close();
});
