import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { describe, expect, it } from 'vitest';
import { collapseSince, type MemoryRange, privateMemory, withoutRanges } from '../../../src/native/huge-pages.js';

const MIB = 2 ** 20;
const HUGE = 2 * MIB;
const [major = 0, minor = 0] = release().split('.').map(Number);
const canCollapse = process.platform === 'linux' && (major > 6 || (major === 6 && minor >= 1));

/** A field of the mapping that has an address, in bytes. */
function fieldOf(address: number, field: string): number {
  const mappings = readFileSync('/proc/self/smaps', 'latin1').split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/);
  const at = mappings.find((mapping) => {
    const [from, to] = mapping.split(/[- ]/, 2).map((hex) => Number.parseInt(hex, 16)) as [number, number];
    return from <= address && address < to;
  })!;
  return 1024 * Number(new RegExp(`^${field}: +(\\d+) kB`, 'm').exec(at)![1]);
}

/** The one large range that was added. */
async function addedSince(before: readonly MemoryRange[], byteLength: number): Promise<MemoryRange> {
  return withoutRanges(await privateMemory(), before).find(({ from, to }) => to - from >= byteLength)!;
}

describe.runIf(canCollapse)('memory in huge pages', () => {
  it('moves memory that was added, keeps its bytes, and moves no other', async () => {
    const older = Buffer.alloc(64 * MIB, 3);
    const before = await privateMemory();
    const bytes = Buffer.alloc(64 * MIB, 7);
    const { from } = await addedSince(before, 64 * MIB);
    const moved = await collapseSince(before);
    expect(moved).toBeGreaterThanOrEqual(60 * MIB);
    expect(fieldOf(from + 32 * MIB, 'AnonHugePages')).toBeGreaterThanOrEqual(60 * MIB);
    expect(bytes.equals(Buffer.alloc(64 * MIB, 7)) && older.equals(Buffer.alloc(64 * MIB, 3))).toBe(true);
  });

  it('leaves out what is not wholly in use', async () => {
    const before = await privateMemory();
    const bytes = Buffer.alloc(64 * MIB);
    const { from } = await addedSince(before, 64 * MIB);
    for (let at = 0; at < bytes.length; at += HUGE) bytes[at] = 1;
    const resident = fieldOf(from + 32 * MIB, 'Rss');
    await collapseSince(before);
    expect(fieldOf(from + 32 * MIB, 'Rss')).toBeLessThan(resident + HUGE);
    expect(bytes[HUGE]).toBe(1);
  });
});

describe('ranges without others', () => {
  const range = (from: number, to: number) => ({ from, to });

  it('keeps what the others do not cover', () => {
    const ranges = [range(0, 10), range(20, 40), range(50, 60)];
    expect(withoutRanges(ranges, [])).toEqual(ranges);
    expect(withoutRanges(ranges, ranges)).toEqual([]);
    expect(withoutRanges(ranges, [range(5, 7), range(8, 25), range(30, 31), range(59, 70)])).toEqual([
      range(0, 5),
      range(7, 8),
      range(25, 30),
      range(31, 40),
      range(50, 59),
    ]);
  });
});
