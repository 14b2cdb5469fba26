import { beforeEach, describe, expect, it } from 'vitest';
import { RETENTIONS, type Retention } from '../../../../coordinator/retention/retention.js';
import { freeSlot, RetentionStore } from '../../../../coordinator/retention/retention-store.js';
import { MemoryKeyValue } from '../../../../src/bus/memory-key-value.js';
import { packTokens } from '../../../../src/protocol/generate.js';

const tokens = Uint32Array.from({ length: 64 }, (_, i) => i);

function retention(id: string, slot: number): Retention {
  return {
    ...{ id, slot, owner: null, tokens: 64, blocks: 1, segments: Buffer.alloc(32), last: 'a'.repeat(64) },
    ...{ createdMs: 0, expiresMs: 1, stage: 'pending', reason: null },
  };
}

describe('a store of retentions', () => {
  let kv: MemoryKeyValue;
  let one: RetentionStore;
  let other: RetentionStore;
  beforeEach(() => {
    kv = new MemoryKeyValue();
    [one, other] = [new RetentionStore(kv), new RetentionStore(kv)];
  });

  const add = async (store: RetentionStore, id: string, slot: number) => {
    const added = retention(id, slot);
    await store.change((all) => [...all, added]);
    await store.writePrompt(added, { id, tokens: packTokens(tokens), salt: 's' });
    return added;
  };

  it('shows all coordinators what each of them changes', async () => {
    await Promise.all([add(one, 'p', 0), add(other, 'q', 1)]);
    expect((await one.list()).map(({ id }) => id).sort()).toEqual(['p', 'q']);
    expect(await one.prompt(retention('q', 1))).toEqual({ tokens, salt: 's' });
  });

  it('removes a prompt with its retention, but not that of another that has the slot by then', async () => {
    const old = await add(one, 'old', 0);
    await one.remove([old]);
    expect([await other.list(), await other.prompt(old)]).toEqual([[], null]);
    const next = await add(one, 'next', 0);
    await other.remove([old]);
    expect(await other.prompt(next)).toEqual({ tokens, salt: 's' });
    expect(await other.list()).toEqual([next]);
  });

  it('has no prompt before it is written', async () => {
    await one.change(() => [retention('p', 0)]);
    expect(await one.prompt(retention('p', 0))).toBeNull();
  });

  it('is put back with its prompts if the bucket comes back empty', async () => {
    const added = await add(one, 'p', 3);
    await Promise.all([one.sync(), other.sync()]);
    for (const key of ['list', 'prompt-3']) await kv.delete(key);
    await Promise.all([one.sync(), other.sync()]);
    const fresh = new RetentionStore(kv);
    expect([await fresh.sync(), await fresh.prompt(added)]).toEqual([[added], { tokens, salt: 's' }]);
    await one.remove([added]);
    expect([await other.sync(), await other.sync()]).toEqual([[], []]);
  });

  it('is put back by the first call that finds the bucket empty, whichever that is', async () => {
    const added = await add(one, 'p', 3);
    const calls: (() => Promise<unknown>)[] = [
      () => one.list(),
      () => one.sync(),
      () => one.change((all) => [...all, retention('q', 4)]),
      () => one.change(() => null),
    ];
    for (const call of calls) {
      await one.sync();
      for (const key of ['list', 'prompt-3']) await kv.delete(key);
      await call();
      const fresh = new RetentionStore(kv);
      expect([(await fresh.list())[0], await fresh.prompt(added)]).toEqual([added, { tokens, salt: 's' }]);
    }
    expect((await other.list()).map(({ id }) => id)).toEqual(['p', 'q']);
  });

  it('takes a list that no member wrote for empty', async () => {
    await kv.create('list', Uint8Array.of(1, 2, 3));
    expect(await one.list()).toEqual([]);
    await add(one, 'p', 0);
    expect(await other.list()).toHaveLength(1);
  });

  it('gives each retention a slot of its own, the lowest that is free', () => {
    expect(freeSlot([retention('p', 0), retention('q', 2)])).toBe(1);
    expect(freeSlot(Array.from({ length: RETENTIONS }, (_, i) => retention(`r${i}`, i)))).toBeNull();
  });
});
