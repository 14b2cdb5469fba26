import { beforeEach, describe, expect, test } from 'vitest';
import type { KeyValue } from '../../src/bus/key-value.js';

const one = Uint8Array.of(1, 0, 255);
const two = Uint8Array.of(2);

/** What every implementation of the port `KeyValue` promises. `open` gives two views of one bucket that is new. */
export function keyValueContract(name: string, open: () => Promise<readonly [KeyValue, KeyValue]>): void {
  describe(`${name} as a bucket of values`, () => {
    let a: KeyValue;
    let b: KeyValue;
    beforeEach(async () => {
      [a, b] = await open();
    });

    const bytesOf = async (key: string) => {
      const entry = await b.get(key);
      return entry && [...entry.value];
    };

    test('has nothing at first, and gives what was created to all', async () => {
      expect(await a.get('x')).toBeNull();
      expect(await a.create('x', one)).toBe(true);
      expect(await bytesOf('x')).toEqual([...one]);
      expect(await b.get('y')).toBeNull();
    });

    test('creates once only, whoever tries', async () => {
      const tries = [a, b, a, b].map((view, i) => view.create('x', Uint8Array.of(i)));
      const made = await Promise.all(tries);
      expect(made.filter(Boolean)).toHaveLength(1);
      expect(await bytesOf('x')).toEqual([made.indexOf(true)]);
    });

    test('updates only what has not changed since it was read', async () => {
      await a.create('x', one);
      const read = (await a.get('x'))!;
      expect(await b.update('x', two, read.revision)).toBe(true);
      expect(await a.update('x', one, read.revision)).toBe(false);
      expect(await bytesOf('x')).toEqual([...two]);
      expect((await a.get('x'))!.revision).toBeGreaterThan(read.revision);
    });

    test('gives a new revision to a value that is written again as it is', async () => {
      await a.create('x', one);
      const read = (await a.get('x'))!;
      expect(await a.update('x', one, read.revision)).toBe(true);
      expect(await b.update('x', two, read.revision)).toBe(false);
    });

    test('does not bring back by an update what was deleted, and lets it be created anew', async () => {
      await a.create('x', one);
      const read = (await a.get('x'))!;
      await b.delete('x');
      expect(await a.get('x')).toBeNull();
      expect(await a.update('x', two, read.revision)).toBe(false);
      expect(await a.create('x', two)).toBe(true);
      expect((await b.get('x'))!.revision).toBeGreaterThan(read.revision);
      await b.delete('never-there');
    });
  });
}
