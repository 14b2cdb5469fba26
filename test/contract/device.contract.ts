import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { blockBytes, ELEMENT_BYTES, type KvLayout, tokenBytes } from '../../src/core/kv-layout.js';
import type { Device, DeviceBlock, DeviceOptions, KvSlot } from '../../src/device/device.js';
import type { Value } from '../../src/ort/value.js';

/** How the suite opens a device of one kind, and reads and writes tensors on it. */
export interface DeviceHarness {
  open(options: DeviceOptions): Promise<Device>;
  /** Whether the device supports the layout. */
  supports(layout: KvLayout): boolean;
  /** The number of cases for a property, at most `max`: fewer if each takes long. */
  cases(max: number): number;
  /** A tensor on the device, which `close` releases. */
  tensor(device: Device, layout: KvLayout, shape: number[], bytes: Uint8Array): Promise<Value>;
  read(value: Value): Promise<Uint8Array>;
  close(): void;
}

const LAYOUT: KvLayout = { layers: 2, kvHeads: 4, headDim: 8, blockTokens: 4, elementType: 'float32' };

const anyLayout: fc.Arbitrary<KvLayout> = fc.record({
  layers: fc.integer({ min: 1, max: 3 }),
  kvHeads: fc.integer({ min: 1, max: 4 }),
  headDim: fc.integer({ min: 1, max: 9 }),
  blockTokens: fc.integer({ min: 1, max: 8 }),
  elementType: fc.constantFrom('float32' as const, 'float16' as const, 'bfloat16' as const, 'int8' as const),
});

/** A reference sequence: each byte of its K/V is a function of its position and `seed`. */
class Sequence {
  constructor(
    readonly layout: KvLayout,
    readonly seed: number,
  ) {}

  byte(tensor: number, head: number, token: number, byte: number): number {
    return Math.imul(((((this.seed * 31 + tensor) * 31 + head) * 4099 + token) * 67 + byte) | 1, 0x9e3779b1) >>> 24;
  }

  /** Tokens `[position, position + tokens)` of tensors `[first, last)`, in the order of a block. */
  bytes(position: number, tokens: number, first = 0, last = 2 * this.layout.layers): Uint8Array {
    const { kvHeads, headDim, elementType } = this.layout;
    const rowBytes = headDim * ELEMENT_BYTES[elementType];
    const bytes = new Uint8Array((last - first) * kvHeads * tokens * rowBytes);
    let at = 0;
    for (let tensor = first; tensor < last; tensor += 1)
      for (let head = 0; head < kvHeads; head += 1)
        for (let token = position; token < position + tokens; token += 1)
          for (let byte = 0; byte < rowBytes; byte += 1) {
            bytes[at] = this.byte(tensor, head, token, byte);
            at += 1;
          }
    return bytes;
  }

  block(position: number): Uint8Array {
    return this.bytes(position, this.layout.blockTokens);
  }
}

function take(device: Device): DeviceBlock {
  const block = device.allocateBlock();
  if (block === null) throw new Error('the budget of the test is too small');
  return block;
}

/** Writes tokens `[position, position + blocks x blockTokens)` of a sequence into a slot. */
async function fill(device: Device, slot: KvSlot, sequence: Sequence, position: number, blocks: number): Promise<void> {
  const { blockTokens } = device.layout;
  const taken: DeviceBlock[] = [];
  for (let index = 0; index < blocks; index += 1) {
    const block = take(device);
    await device.upload(block, sequence.block(position + index * blockTokens));
    taken.push(block);
  }
  await device.join(slot, position, taken);
  for (const block of taken) device.freeBlock(block);
}

/** The bytes of the block at `position` of a slot. */
async function cutBytes(device: Device, slot: KvSlot, position: number): Promise<Uint8Array> {
  const block = take(device);
  await device.cut(slot, position, block);
  const bytes = new Uint8Array(blockBytes(device.layout));
  await device.download(block, bytes);
  device.freeBlock(block);
  return bytes;
}

/** The contract of the `Device` port: one suite for every kind of device. */
export function deviceContract(kind: Device['kind'], makeHarness: () => DeviceHarness): void {
  describe(`a ${kind} device`, () => {
    let harness: DeviceHarness;
    beforeEach(() => {
      harness = makeHarness();
    });
    afterEach(() => harness.close());

    const layouts = anyLayout.filter((layout) => harness.supports(layout));

    const open = (options: Partial<DeviceOptions> = {}): Promise<Device> => {
      const layout = options.layout ?? LAYOUT;
      // Enough for 16 blocks, also where a device rounds the size of a buffer up (src/device/webgpu/footprint.ts).
      const blockBudgetBytes = 16 * Math.max(64, 4 * blockBytes(layout));
      return harness.open({ layout, blockBudgetBytes, slots: 3, capacityTokens: 16 * layout.blockTokens, ...options });
    };

    test('reports its kind, layout and slots', async () => {
      const device = await open({ slots: 5, capacityTokens: 40 });
      expect(device.kind).toBe(kind);
      expect(device.layout).toEqual(LAYOUT);
      expect(device.slots).toBe(5);
      expect(device.slot(4).capacityTokens).toBe(40);
      if (device.prefillRow !== null) expect(device.slot(device.prefillRow).capacityTokens).toBe(40);
      device.close();
    });

    test('cuts the bytes that were joined, at any position, for any layout', async () => {
      const cases = fc.record({
        layout: layouts,
        blocks: fc.integer({ min: 1, max: 4 }),
        offset: fc.nat({ max: 20 }),
        tail: fc.nat({ max: 5 }),
        row: fc.nat({ max: 2 }),
        seed: fc.nat(),
      });
      await fc.assert(
        fc.asyncProperty(cases, async ({ layout, blocks, offset, tail, row, seed }) => {
          const tokens = blocks * layout.blockTokens;
          const device = await open({ layout, capacityTokens: offset + tokens + tail });
          const sequence = new Sequence(layout, seed);
          await fill(device, device.slot(row), sequence, offset, blocks);
          for (let position = offset; position + layout.blockTokens <= offset + tokens; position += 1) {
            expect(await cutBytes(device, device.slot(row), position)).toEqual(sequence.block(position));
          }
          device.close();
        }),
        { numRuns: harness.cases(40) },
      );
    });

    test('supports models of many layers', async () => {
      const layout: KvLayout = { layers: 40, kvHeads: 2, headDim: 4, blockTokens: 2, elementType: 'float16' };
      const device = await open({ layout, capacityTokens: 8 });
      const sequence = new Sequence(layout, 6);
      await fill(device, device.slot(1), sequence, 0, 4);
      expect(await cutBytes(device, device.slot(1), 3)).toEqual(sequence.block(3));
      device.close();
    });

    test('does not change tokens before and after a join, or other rows', async () => {
      const device = await open({ capacityTokens: 20 });
      const before = [0, 1, 2].map((row) => new Sequence(LAYOUT, row));
      for (const [row, sequence] of before.entries()) await fill(device, device.slot(row), sequence, 0, 5);
      const after = new Sequence(LAYOUT, 77);
      await fill(device, device.slot(1), after, 6, 2);
      for (const row of [0, 2]) {
        for (const position of [0, 4, 8, 12, 16]) {
          expect(await cutBytes(device, device.slot(row), position)).toEqual(before[row]!.block(position));
        }
      }
      for (const position of [0, 1, 2, 14, 15, 16]) {
        expect(await cutBytes(device, device.slot(1), position)).toEqual(before[1]!.block(position));
      }
      for (const position of [6, 8, 10]) {
        expect(await cutBytes(device, device.slot(1), position)).toEqual(after.block(position));
      }
      device.close();
    });

    test('provides views of rows as tensors over the same memory', async () => {
      const device = await open({ capacityTokens: 8 });
      const sequences = [3, 4, 5].map((seed) => new Sequence(LAYOUT, seed));
      for (const [row, sequence] of sequences.entries()) await fill(device, device.slot(row), sequence, 0, 2);
      const fromRow0 = [
        [0, 1],
        [0, 2],
        [0, 3],
      ] as const;
      const others = [
        [1, 1],
        [1, 2],
      ] as const;
      for (const [first, count] of device.prefillRow === null ? [...fromRow0, ...others] : fromRow0) {
        const tensors = device.rows(first, count);
        expect(tensors).toHaveLength(2 * LAYOUT.layers);
        for (const [tensor, value] of tensors.entries()) {
          expect(value.elementType).toBe('float32');
          expect(value.shape).toEqual([count, LAYOUT.kvHeads, 8, LAYOUT.headDim]);
          const rows = sequences.slice(first, first + count).map((row) => row.bytes(0, 8, tensor, tensor + 1));
          expect(Buffer.from(await harness.read(value))).toEqual(Buffer.concat(rows));
        }
      }
      if (device.prefillRow !== null) {
        await fill(device, device.slot(device.prefillRow), sequences[1]!, 0, 2);
        for (const [tensor, value] of device.rows(device.prefillRow, 1).entries()) {
          expect(await harness.read(value)).toEqual(sequences[1]!.bytes(0, 8, tensor, tensor + 1));
        }
        expect(() => device.rows(1, 1)).toThrow(/up to 3 rows from row 0 on/);
      }
      device.close();
    });

    test('returns the same views for the same rows', async () => {
      const device = await open();
      expect(device.rows(0, 2)).toBe(device.rows(0, 2));
      expect(device.rows(0, 2)).not.toBe(device.rows(0, 1));
      const other = device.prefillRow === null ? device.rows(1, 2) : device.rows(device.prefillRow, 1);
      expect(other).not.toBe(device.rows(0, 2));
      device.close();
    });

    test('moves the given number of tokens of a row', async () => {
      const device = await open({ capacityTokens: 16 });
      const [kept, moved] = [new Sequence(LAYOUT, 1), new Sequence(LAYOUT, 2)];
      await fill(device, device.slot(0), kept, 0, 4);
      await fill(device, device.slot(2), moved, 0, 4);
      await device.moveRow(2, 0, 9);
      for (const [tensor, value] of device.rows(0, 1).entries()) {
        const expected = [moved.bytes(0, 9, tensor, tensor + 1), kept.bytes(9, 7, tensor, tensor + 1)];
        const heads = Array.from({ length: LAYOUT.kvHeads }, (_, head) =>
          expected.map((part) => part.subarray((head * part.length) / 4, ((head + 1) * part.length) / 4)),
        );
        expect(Buffer.from(await harness.read(value))).toEqual(Buffer.concat(heads.flat()));
      }
      for (const position of [0, 4, 5]) {
        expect(await cutBytes(device, device.slot(0), position)).toEqual(moved.block(position));
      }
      for (const position of [9, 12]) {
        expect(await cutBytes(device, device.slot(0), position)).toEqual(kept.block(position));
      }
      expect(await cutBytes(device, device.slot(2), 12)).toEqual(moved.block(12));
      if (device.prefillRow !== null) {
        await fill(device, device.slot(device.prefillRow), moved, 0, 4);
        await device.moveRow(device.prefillRow, 1, 16);
        expect(await cutBytes(device, device.slot(1), 12)).toEqual(moved.block(12));
        await device.moveRow(1, 2, 0);
      }
      device.close();
    });

    test('copies to and from loose slots', async () => {
      await fc.assert(
        fc.asyncProperty(layouts, fc.nat({ max: 7 }), fc.nat(), async (layout, extra, seed) => {
          const device = await open({ layout });
          const tokens = 2 * layout.blockTokens + extra;
          const [source, other] = [new Sequence(layout, seed), new Sequence(layout, seed + 1)];
          const shape = [1, layout.kvHeads, tokens, layout.headDim];
          const values: Value[] = [];
          for (let tensor = 0; tensor < 2 * layout.layers; tensor += 1) {
            values.push(await harness.tensor(device, layout, shape, source.bytes(0, tokens, tensor, tensor + 1)));
          }
          const slot = device.looseSlot(values);
          expect(slot.capacityTokens).toBe(tokens);
          expect(await cutBytes(device, slot, extra)).toEqual(source.block(extra));
          await fill(device, slot, other, extra, 2);
          for (const [tensor, value] of values.entries()) {
            const expected = [
              source.bytes(0, extra, tensor, tensor + 1),
              other.bytes(extra, tokens - extra, tensor, tensor + 1),
            ];
            const bytes = await harness.read(value);
            const headBytes = bytes.length / layout.kvHeads;
            const part = expected.map((piece) => piece.length / layout.kvHeads);
            for (let head = 0; head < layout.kvHeads; head += 1) {
              const own = expected.map((piece, index) =>
                piece.subarray(head * part[index]!, (head + 1) * part[index]!),
              );
              expect(Buffer.from(bytes.subarray(head * headBytes, (head + 1) * headBytes))).toEqual(Buffer.concat(own));
            }
          }
          device.close();
        }),
        { numRuns: harness.cases(20) },
      );
    });

    test('refuses loose tensors that do not fit the layout', async () => {
      const device = await open();
      const [count, bytes] = [2 * LAYOUT.layers, new Uint8Array(4 * 5 * 8 * 4)];
      const right: Value[] = [];
      for (let n = 0; n < count; n += 1) right.push(await harness.tensor(device, LAYOUT, [1, 4, 5, 8], bytes));
      expect(device.looseSlot(right).capacityTokens).toBe(5);
      expect(() => device.looseSlot(right.slice(1))).toThrow(/needs 4 tensors/);
      const shorter = await harness.tensor(device, LAYOUT, [1, 4, 4, 8], new Uint8Array(4 * 4 * 8 * 4));
      expect(() => device.looseSlot([...right.slice(1), shorter])).toThrow(/needs 4 tensors/);
      const half = await harness.tensor(
        device,
        { ...LAYOUT, elementType: 'float16' },
        [1, 4, 5, 8],
        bytes.subarray(0, 320),
      );
      expect(() => device.looseSlot([...right.slice(1), half])).toThrow(/float16/);
      device.close();
    });

    test('uploads and downloads the bytes of a block', async () => {
      const device = await open();
      const [first, second] = [take(device), take(device)];
      const sequence = new Sequence(LAYOUT, 9);
      await device.upload(first, sequence.block(0));
      await device.upload(second, sequence.block(4));
      const into = new Uint8Array(blockBytes(LAYOUT));
      await device.download(first, into);
      expect(into).toEqual(sequence.block(0));
      await device.download(second, into);
      expect(into).toEqual(sequence.block(4));
      await expect(device.upload(first, into.subarray(1))).rejects.toThrow(/bytes/);
      await expect(device.download(first, into.subarray(1))).rejects.toThrow(/bytes/);
      await expect(device.download(first, new Uint8Array(into.length + 1))).rejects.toThrow(/bytes/);
      device.freeBlock(first);
      device.freeBlock(second);
      device.close();
    });

    test('allocates loose tensors of any length', async () => {
      const device = await open();
      for (const tokens of [0, 1, 9]) {
        const values = await device.looseTensors(tokens);
        expect(device.looseSlot(values).capacityTokens).toBe(tokens);
        if (tokens === 9) {
          const sequence = new Sequence(LAYOUT, 5);
          await fill(device, device.looseSlot(values), sequence, 1, 2);
          expect(await cutBytes(device, device.looseSlot(values), 3)).toEqual(sequence.block(3));
        }
        for (const value of values) value.release();
      }
      device.close();
    });

    test('counts every copied byte by direction', async () => {
      const device = await open();
      const before = device.copies();
      const block = take(device);
      const bytes = blockBytes(LAYOUT);
      await device.upload(block, new Uint8Array(bytes));
      await device.join(device.slot(0), 0, [block]);
      await device.join(device.slot(0), LAYOUT.blockTokens, [block]);
      await device.moveRow(0, 1, 2 * LAYOUT.blockTokens);
      await device.cut(device.slot(1), 0, block);
      await device.download(block, new Uint8Array(bytes));
      const after = device.copies();
      // A device with memory of its own also copies indices to the device, and probes its memory.
      const most = kind === 'cpu' ? bytes : bytes + 512;
      for (const way of ['h2d', 'd2h'] as const) {
        expect(after[way] - before[way]).toBeGreaterThanOrEqual(bytes);
        expect(after[way] - before[way]).toBeLessThanOrEqual(most);
      }
      expect(after.d2d - before.d2d).toBe(5 * bytes);
      device.freeBlock(block);
      device.close();
    });

    test('views a block in place, if it has views', async () => {
      const device = await open();
      const block = take(device);
      const view = device.view(block);
      const sequence = new Sequence(LAYOUT, 3);
      await device.upload(block, sequence.block(0));
      if (view !== null) {
        expect(view).toEqual(sequence.block(0));
        view.set(sequence.block(4));
        await device.join(device.slot(0), 0, [block]);
        expect(await cutBytes(device, device.slot(0), 0)).toEqual(sequence.block(4));
      }
      device.freeBlock(block);
      device.close();
    });

    test('never allocates more than its budget, and counts what it allocates', async () => {
      const size = blockBytes(LAYOUT);
      const device = await open({ blockBudgetBytes: 5 * size + size - 1, slots: 3, capacityTokens: 16 });
      const { sequenceBytes } = device.memory();
      expect(sequenceBytes).toBeGreaterThanOrEqual(3 * 16 * tokenBytes(LAYOUT));
      if (kind === 'cpu') expect(sequenceBytes).toBe(3 * 16 * tokenBytes(LAYOUT));
      const expected = (blocks: number) => ({
        blocks,
        blockBytes: blocks * size,
        blockBudgetBytes: 6 * size - 1,
        sequenceBytes,
        capacityBlocks: 5,
      });
      expect(device.memory()).toEqual(expected(0));
      const blocks = Array.from({ length: 5 }, () => take(device));
      expect(device.memory()).toEqual(expected(5));
      expect(device.allocateBlock()).toBeNull();
      device.freeBlock(blocks[2]!);
      expect(device.memory()).toEqual(expected(4));
      blocks[2] = take(device);
      expect(device.allocateBlock()).toBeNull();
      expect(new Set(blocks.map(({ id }) => id)).size).toBe(5);
      for (const block of blocks) device.freeBlock(block);
      expect(device.memory()).toEqual(expected(0));
      device.close();
    });

    test('reports its capacity in blocks, whatever the footprint of a block', async () => {
      await fc.assert(
        fc.asyncProperty(layouts, async (layout) => {
          const device = await open({ layout, blockBudgetBytes: 6 * blockBytes(layout) });
          const { capacityBlocks } = device.memory();
          expect(capacityBlocks).toBeLessThanOrEqual(6);
          const blocks = Array.from({ length: capacityBlocks }, () => take(device));
          expect(device.allocateBlock()).toBeNull();
          expect(device.memory().capacityBlocks).toBe(capacityBlocks);
          for (const block of blocks) device.freeBlock(block);
          device.close();
        }),
        { numRuns: harness.cases(20) },
      );
    });

    test('has no blocks if the budget is smaller than one block', async () => {
      const device = await open({ blockBudgetBytes: blockBytes(LAYOUT) - 1 });
      expect(device.allocateBlock()).toBeNull();
      device.close();
    });

    test('keeps blocks apart, in any order of allocating and freeing', async () => {
      const steps = fc.array(fc.oneof(fc.constant('take' as const), fc.nat({ max: 7 })), { maxLength: 40 });
      await fc.assert(
        fc.asyncProperty(steps, async (order) => {
          const device = await open({ blockBudgetBytes: 7 * blockBytes(LAYOUT) });
          const held: { block: DeviceBlock; bytes: Uint8Array }[] = [];
          for (const [seed, step] of order.entries()) {
            if (step === 'take') {
              const block = device.allocateBlock();
              expect(block === null).toBe(held.length === 7);
              if (block === null) continue;
              const bytes = new Sequence(LAYOUT, seed).block(0);
              await device.upload(block, bytes);
              held.push({ block, bytes });
            } else if (held.length > 0) {
              device.freeBlock(held.splice(step % held.length, 1)[0]!.block);
            }
            expect(device.memory().blocks).toBe(held.length);
          }
          const into = new Uint8Array(blockBytes(LAYOUT));
          for (const { block, bytes } of held) {
            await device.download(block, into);
            expect(into).toEqual(bytes);
            device.freeBlock(block);
          }
          device.close();
        }),
        { numRuns: harness.cases(30) },
      );
    });

    test('detects blocks that are freed twice, used after that, or belong to another device', async () => {
      const [device, other] = [await open(), await open()];
      const [stale, foreign] = [take(device), take(other)];
      device.freeBlock(stale);
      const again = take(device);
      expect(() => device.freeBlock(stale)).toThrow(/freed/);
      expect(() => device.view(stale)).toThrow(/freed/);
      await expect(device.cut(device.slot(0), 0, stale)).rejects.toThrow(/freed/);
      await expect(device.join(device.slot(0), 0, [again, stale])).rejects.toThrow(/freed/);
      await expect(device.upload(stale, new Uint8Array(blockBytes(LAYOUT)))).rejects.toThrow(/freed/);
      expect(() => device.freeBlock(foreign)).toThrow(/another device/);
      await expect(device.cut(other.slot(0), 0, again)).rejects.toThrow(/another device/);
      expect(device.memory().blocks).toBe(1);
      device.freeBlock(again);
      other.freeBlock(foreign);
      device.close();
      other.close();
    });

    test('refuses positions and rows out of range', async () => {
      const device = await open({ capacityTokens: 10 });
      const [slot, block] = [device.slot(0), take(device)];
      await device.cut(slot, 6, block);
      for (const position of [-1, 7, 0.5, Number.NaN]) {
        await expect(device.cut(slot, position, block)).rejects.toThrow(/do not lie/);
      }
      await expect(device.join(slot, 3, [block, block])).rejects.toThrow(/do not lie/);
      await expect(device.moveRow(0, 4, 1)).rejects.toThrow(/row 4/);
      await expect(device.moveRow(0, 1, 11)).rejects.toThrow(/11 tokens/);
      expect(() => device.slot(4)).toThrow(/row 4/);
      expect(() => device.rows(2, 2)).toThrow(/3 rows/);
      expect(() => device.rows(0, 0)).toThrow(/3 rows/);
      device.freeBlock(block);
      device.close();
    });

    test('closes only when no block is allocated, and cannot be used afterwards', async () => {
      const device = await open();
      const [slot, block] = [device.slot(0), take(device)];
      expect(() => device.close()).toThrow(/1 of its blocks/);
      device.freeBlock(block);
      device.close();
      expect(device.memory()).toMatchObject({ blocks: 0, sequenceBytes: 0 });
      expect(device.allocateBlock()).toBeNull();
      expect(() => device.slot(0)).toThrow(/row 0/);
      await expect(device.join(slot, 0, [])).rejects.toThrow(/closed/);
    });
  });
}
