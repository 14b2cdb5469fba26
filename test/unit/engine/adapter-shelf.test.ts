import { describe, expect, it } from 'vitest';
import { Deferred } from '../../../src/async/deferred.js';
import { AdapterShelf, type OwnedAdapter } from '../../../src/engine/adapter-shelf.js';
import { Cancelled, Refused, Unavailable } from '../../../src/errors.js';
import type { AdapterRef } from '../../../src/protocol/adapter.js';

const refOf = (letter: string, bytes = 10): AdapterRef => ({
  name: letter,
  file: `${letter}.onnx_adapter`,
  fingerprint: letter.repeat(64),
  bytes,
});
const never = new AbortController().signal;

class Shelf {
  readonly loads: string[] = [];
  readonly freed: string[] = [];
  readonly events: string[] = [];
  gate: Promise<void> = Promise.resolve();
  readonly begun = new Deferred<void>();
  readonly shelf: AdapterShelf;

  constructor(budgetBytes: number) {
    this.shelf = new AdapterShelf({
      budgetBytes,
      load: async ({ name, fingerprint }): Promise<OwnedAdapter> => {
        this.loads.push(name);
        this.begun.resolve();
        await this.gate;
        if (name === 'x') throw new Unavailable('no such file');
        return { fingerprint, inputs: new Map(), release: () => this.freed.push(name) };
      },
      onEvict: () => {},
      onEvent: (event) => this.events.push(event),
    });
  }

  lease(letter: string, signal = never) {
    return this.shelf.lease(refOf(letter), signal);
  }
}

describe('a shelf of adapters', () => {
  it('loads an adapter once for all who want it, and keeps it for the next', async () => {
    const { shelf, loads, freed } = new Shelf(20);
    const leases = await Promise.all(['a', 'a', 'a'].map((letter) => shelf.lease(refOf(letter), never)));
    expect(new Set(leases.map(({ adapter }) => adapter)).size).toBe(1);
    for (const lease of leases) lease.release();
    await shelf.lease(refOf('a'), never);
    expect([loads, freed]).toEqual([['a'], []]);
  });

  it('frees the least recently used adapter that no sequence runs with', async () => {
    const own = new Shelf(30);
    for (const letter of ['a', 'b', 'c']) (await own.lease(letter)).release();
    const used = await own.lease('a');
    (await own.lease('d')).release();
    expect(own.freed).toEqual(['b']);
    expect(own.events).toEqual(['loaded', 'loaded', 'loaded', 'evicted', 'loaded']);
    (await own.lease('e')).release();
    expect(own.freed).toEqual(['b', 'c']);
    expect(own.shelf.loaded).toEqual(['a', 'd', 'e'].map((letter) => letter.repeat(64)));
    expect(own.shelf.bytes).toBe(30);
    used.release();
    used.release();
    own.shelf.close();
    expect(own.shelf.bytes).toBe(0);
  });

  it('makes who finds no room wait for the end of others, and those who come later wait behind', async () => {
    const own = new Shelf(10);
    const first = await own.lease('a');
    const order: string[] = [];
    const second = own.lease('b').then((lease) => {
      order.push('b');
      return lease;
    });
    const third = own.lease('a').then((lease) => {
      order.push('a again');
      return lease;
    });
    expect(own.loads).toEqual(['a']);
    first.release();
    (await second).release();
    (await third).release();
    expect([order, own.loads, own.freed]).toEqual([
      ['b', 'a again'],
      ['a', 'b', 'a'],
      ['a', 'b'],
    ]);
  });

  it('lets who waits leave', async () => {
    const own = new Shelf(10);
    const first = await own.lease('a');
    const leaving = new AbortController();
    const second = own.lease('b', leaving.signal);
    const third = own.lease('c');
    leaving.abort();
    await expect(second).rejects.toBeInstanceOf(Cancelled);
    first.release();
    (await third).release();
    expect(own.loads).toEqual(['a', 'c']);
  });

  it('gives the room back of an adapter whose reader left while it was loaded, or that cannot be loaded', async () => {
    const own = new Shelf(10);
    const gate = new Deferred<void>();
    own.gate = gate.promise;
    const leaving = new AbortController();
    const left = own.lease('a', leaving.signal);
    await own.begun.promise;
    leaving.abort();
    await expect(left).rejects.toBeInstanceOf(Cancelled);
    const failing = own.lease('x');
    gate.resolve();
    await expect(failing).rejects.toThrow('no such file');
    (await own.lease('b')).release();
    expect(own.freed).toEqual(['a']);
    expect(own.shelf.bytes).toBe(10);
  });

  it('refuses an adapter that is larger than its budget, and names the option', async () => {
    const { shelf } = new Shelf(10);
    await expect(shelf.lease(refOf('a', 11), never)).rejects.toBeInstanceOf(Refused);
    await expect(shelf.lease(refOf('a', 11), never)).rejects.toThrow('--adapter-bytes');
  });
});
