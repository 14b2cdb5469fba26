import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import { SILENT_LOG } from '../../../src/log.js';
import type { ObjectInfo } from '../../../src/objects/object.js';
import { objectName } from '../../../src/objects/object-name.js';
import { ObjectValue } from '../../../src/objects/object-value.js';
import { PacedLog } from '../../../src/paced-log.js';
import type { BlockFiles } from '../../../workers/cache/block-folder.js';
import { LEAST_DISK_BYTES, ObjectDisk } from '../../../workers/objects/object-disk.js';
import { ObjectStore } from '../../../workers/objects/object-store.js';

/** A worker's objects in memory and on a disk, within the budgets of both at each change. */

const KiB = 1024;
const SIZE = 100 * KiB;

/** A disk that takes a turn for each call, and that a test has fail. */
class MemoryDisk implements BlockFiles {
  readonly files = new Map<string, Buffer>();
  mostBytes = 0;
  damaged = false;
  full = false;
  reads = 0;

  get bytes(): number {
    return [...this.files.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  async list() {
    return [...this.files].map(([key, { byteLength }]) => ({ key, byteLength }));
  }

  async write(key: string, parts: readonly Uint8Array[]): Promise<void> {
    const bytes = Buffer.concat(parts);
    await turn();
    if (this.full) throw new Error('ENOSPC');
    this.files.set(key, bytes);
    this.mostBytes = Math.max(this.mostBytes, this.bytes);
  }

  async read(key: string, into: Uint8Array, position: number): Promise<boolean> {
    this.reads++;
    await turn();
    const file = this.files.get(key);
    if (file === undefined || position + into.byteLength > file.byteLength) return false;
    into.set(file.subarray(position, position + into.byteLength));
    if (this.damaged) into[0]! ^= 1;
    return true;
  }

  async remove(key: string): Promise<void> {
    await turn();
    this.files.delete(key);
  }

  async probe(): Promise<void> {}
  async close(): Promise<void> {}
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const named = (key: number) => objectName('a', Buffer.from(`k${key}`));

class Tiers {
  readonly files = new MemoryDisk();
  readonly clock = new SimulatedClock();
  readonly disk: ObjectDisk;
  readonly store: ObjectStore;
  readonly gone: string[] = [];
  private serial = 0;

  constructor(
    readonly memoryBytes: number,
    readonly diskBytes: number,
  ) {
    this.disk = new ObjectDisk({
      files: this.files,
      budgetBytes: diskBytes,
      clock: this.clock,
      log: new PacedLog(SILENT_LOG, this.clock),
    });
    const wallMs = () => this.clock.now();
    this.store = new ObjectStore({
      budgetBytes: memoryBytes,
      wallMs,
      disk: this.disk,
      onGone: (why) => this.gone.push(why),
    });
  }

  put(key: number, fill: number, bytes = SIZE, expiresAtMs: number | null = null): boolean {
    const value = ObjectValue.of(Buffer.alloc(bytes, fill));
    const about = { contentType: null, fields: {}, token: '', expiresAtMs };
    const version = { at: ++this.serial, writer: 'w' };
    const info: ObjectInfo = { ...about, version, bytes, digest: value.digest };
    const room = this.store.reserve(named(key), info);
    const kept = room !== null && this.store.put(named(key), info, value, room);
    if (!kept) value.release();
    this.check();
    return kept;
  }

  /** The byte that fills the value; null for no object. */
  async get(key: number): Promise<number | null> {
    const object = await this.store.load(named(key).hash);
    this.check();
    if (object === null) return null;
    const bytes = object.value.copy();
    expect(bytes.equals(Buffer.alloc(bytes.byteLength, bytes[0]))).toBe(true);
    return bytes[0]!;
  }

  delete(key: number): void {
    this.store.delete(named(key), { at: ++this.serial, writer: 'w' });
    this.check();
  }

  check(): void {
    expect(this.store.bytes).toBeLessThanOrEqual(this.memoryBytes);
    expect(this.disk.bytes).toBeLessThanOrEqual(this.diskBytes);
    expect(this.files.mostBytes).toBeLessThanOrEqual(this.diskBytes);
  }

  /** Until nothing is on its way to the disk. */
  async rest(): Promise<void> {
    for (let i = 0; i < 20; i++) {
      await turn();
      await this.disk.idle();
    }
    expect(this.files.bytes).toBe(this.disk.bytes);
  }
}

describe('objects on disk', () => {
  it('leave memory for the disk before they have to, and come back when they are read', async () => {
    const tiers = new Tiers(10 * SIZE, 100 * SIZE);
    for (let key = 0; key < 30; key++) {
      expect(tiers.put(key, key + 1)).toBe(true);
      await tiers.rest();
    }
    expect(tiers.gone).toEqual([]);
    expect(tiers.store.objects).toBe(30);
    expect([...tiers.store.namesIn('a')].length).toBe(30);
    for (let key = 0; key < 30; key++) expect(await tiers.get(key)).toBe(key + 1);
    expect(tiers.files.reads).toBeGreaterThan(15);
    expect(tiers.gone).toEqual([]);
  });

  it('go when the disk has no room either, the least recently used first, and smaller ones stay in memory alone', async () => {
    const tiers = new Tiers(4 * SIZE, 6 * SIZE);
    tiers.put(99, 1, LEAST_DISK_BYTES - 1);
    for (let key = 0; key < 30; key++) {
      tiers.put(key, key + 1);
      await tiers.rest();
    }
    expect(await tiers.get(0)).toBeNull();
    expect(await tiers.get(99)).toBeNull();
    expect(await tiers.get(29)).toBe(30);
    expect(tiers.gone.filter((why) => why === 'evicted').length).toBe(31 - tiers.store.objects);
  });

  it('are forgotten when their bytes are damaged, and nothing is written for a while to a disk that refuses', async () => {
    const tiers = new Tiers(4 * SIZE, 50 * SIZE);
    for (let key = 0; key < 10; key++) {
      tiers.put(key, key + 1);
      await tiers.rest();
    }
    tiers.files.damaged = true;
    expect(await tiers.get(0)).toBeNull();
    expect(tiers.store.versionOf(named(0))).toBeNull();
    tiers.files.damaged = false;
    tiers.files.full = true;
    for (let key = 10; key < 20; key++) {
      tiers.put(key, key + 1);
      await tiers.rest();
    }
    expect(await tiers.get(12)).toBeNull();
    expect(await tiers.get(1)).toBe(2);
  });

  it('expire and are flushed on the disk too', async () => {
    const tiers = new Tiers(4 * SIZE, 50 * SIZE);
    for (let key = 0; key < 10; key++) {
      tiers.put(key, key + 1, SIZE, key < 2 ? 1_000 : null);
      await tiers.rest();
    }
    await tiers.clock.advance(2_000);
    expect(await tiers.get(0)).toBeNull();
    tiers.store.expire();
    expect(tiers.gone).toEqual(['expired', 'expired']);
    expect(tiers.store.objects).toBe(8);
    tiers.store.flush('a', { at: 1_000, writer: 'w' });
    await tiers.rest();
    expect([tiers.store.objects, tiers.files.files.size]).toEqual([0, 0]);
  });

  it('are the latest of their name, never a deleted one, within both budgets at each change, whatever the disk does meanwhile', async () => {
    const step = fc.record({
      do: fc.constantFrom('put', 'put', 'put', 'get', 'get', 'delete', 'turn', 'rest', 'damage', 'fill'),
      key: fc.nat(11),
      size: fc.constantFrom(KiB, LEAST_DISK_BYTES, SIZE, 2 * SIZE),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120 }), async (steps) => {
        const tiers = new Tiers(6 * SIZE, 9 * SIZE);
        const latest = new Map<number, number | null>();
        for (const [at, each] of steps.entries()) {
          const fill = 1 + (at % 250);
          if (each.do === 'put')
            latest.set(each.key, tiers.put(each.key, fill, each.size) ? fill : (latest.get(each.key) ?? null));
          else if (each.do === 'get') {
            const found = await tiers.get(each.key);
            // It may be gone for lack of room or by damage, and is never an older one.
            if (found !== null) expect(found).toBe(latest.get(each.key));
          } else if (each.do === 'delete') {
            tiers.delete(each.key);
            latest.set(each.key, null);
          } else if (each.do === 'turn') await turn();
          else if (each.do === 'rest') await tiers.rest();
          else if (each.do === 'damage') tiers.files.damaged = !tiers.files.damaged;
          else tiers.files.full = !tiers.files.full;
          tiers.check();
        }
        await tiers.rest();
        tiers.check();
        tiers.store.close();
        await tiers.rest();
        expect(tiers.files.files.size).toBe(0);
      }),
      { numRuns: 150 },
    );
  });
});
