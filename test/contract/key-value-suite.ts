import { beforeEach, describe, expect, test } from 'vitest';
import type { KeyValue } from '../../src/bus/key-value.js';

const one = Uint8Array.of(1, 0, 255);
const two = Uint8Array.of(2);

export interface KeyValueStage {
  /** Two views of one new bucket. */
  readonly views: readonly [KeyValue, KeyValue];
  /** Loses the bucket, with all its values. */
  lose(): Promise<void>;
}

/** The contract of the `KeyValue` port. */
export function keyValueContract(name: string, open: () => Promise<KeyValueStage>): void {
  describe(name, () => {
    let a: KeyValue;
    let b: KeyValue;
    let lose: () => Promise<void>;
    beforeEach(async () => {
      const stage = await open();
      [a, b] = stage.views;
      lose = () => stage.lose();
    });

    const bytesOf = async (key: string) => {
      const entry = await b.get(key);
      return entry && [...entry.value];
    };

    test('is empty at first, and shows a created value to all', async () => {
      expect(await a.get('x')).toBeNull();
      expect(await a.create('x', one)).toBe(true);
      expect(await bytesOf('x')).toEqual([...one]);
      expect(await b.get('y')).toBeNull();
    });

    test('creates a key only once', async () => {
      const tries = [a, b, a, b].map((view, i) => view.create('x', Uint8Array.of(i)));
      const made = await Promise.all(tries);
      expect(made.filter(Boolean)).toHaveLength(1);
      expect(await bytesOf('x')).toEqual([made.indexOf(true)]);
    });

    test('updates a value only if it has not changed since it was read', async () => {
      await a.create('x', one);
      const read = (await a.get('x'))!;
      expect(await b.update('x', two, read.revision)).toBe(true);
      expect(await a.update('x', one, read.revision)).toBe(false);
      expect(await bytesOf('x')).toEqual([...two]);
      expect((await a.get('x'))!.revision).toBeGreaterThan(read.revision);
    });

    test('says when a value was written, for all views alike', async () => {
      await a.create('x', one);
      const first = (await b.get('x'))!;
      await b.update('x', two, first.revision);
      const [second, seen] = [(await a.get('x'))!, (await b.get('x'))!];
      expect(second.writtenMs).toBe(seen.writtenMs);
      expect(second.writtenMs).toBeGreaterThanOrEqual(first.writtenMs);
      // A real server has the clock of this machine.
      expect(Math.abs(first.writtenMs - Date.now())).toBeLessThan(60_000);
    });

    test('gives a new revision to a value that is rewritten unchanged', async () => {
      await a.create('x', one);
      const read = (await a.get('x'))!;
      expect(await a.update('x', one, read.revision)).toBe(true);
      expect(await b.update('x', two, read.revision)).toBe(false);
    });

    test('does not update a deleted key, but lets it be created again', async () => {
      await a.create('x', one);
      const read = (await a.get('x'))!;
      await b.delete('x');
      expect(await a.get('x')).toBeNull();
      expect(await a.update('x', two, read.revision)).toBe(false);
      expect(await a.create('x', two)).toBe(true);
      expect((await b.get('x'))!.revision).toBeGreaterThan(read.revision);
      await b.delete('never-there');
    });

    test('is empty after it was lost, and can be used by all views', async () => {
      for (const use of [
        async () => expect(await a.get('x')).toBeNull(),
        async () => expect(await a.update('x', two, 1)).toBe(false),
        async () => expect(await a.delete('x')).toBeUndefined(),
      ]) {
        await a.create('x', one);
        await lose();
        await use();
        expect(await bytesOf('x')).toBeNull();
      }
      await a.create('x', one);
      await lose();
      expect(await a.create('x', two)).toBe(true);
      expect(await b.create('x', one)).toBe(false);
      expect(await bytesOf('x')).toEqual([...two]);
    });
  });
}
