import { beforeEach, describe, expect, it } from 'vitest';
import { RETENTIONS, type Retention } from '../../../../coordinator/retention/retention.js';
import { freeSlot, RetentionStore } from '../../../../coordinator/retention/retention-store.js';
import { MemoryKeyValue } from '../../../../src/bus/memory-key-value.js';
import { SeededRandom } from '../../../../src/random.js';

const tokens = Uint32Array.from({ length: 64 }, (_, i) => i);

function retention(id: string, slot: number): Retention {
  return {
    ...{
      id,
      slot,
      owner: null,
      layer: null,
      tokens: 64,
      blocks: 1,
      segments: new Uint8Array(32),
      last: 'a'.repeat(64),
    },
    ...{ createdMs: 0, expiresMs: 1, stage: 'pending', reason: null },
  };
}

function storeOf(kv: MemoryKeyValue, seed: number): RetentionStore {
  return new RetentionStore(kv, new SeededRandom(seed));
}

describe('a store of retentions', () => {
  let kv: MemoryKeyValue;
  let one: RetentionStore;
  let other: RetentionStore;
  beforeEach(() => {
    kv = new MemoryKeyValue();
    [one, other] = [storeOf(kv, 1), storeOf(kv, 2)];
  });

  const add = async (store: RetentionStore, id: string, slot: number, more: object = {}) => {
    const added = retention(id, slot);
    await store.change((all) => [...all, added]);
    await store.writePrompt(added, { tokens, salt: 's', tenant: null, ...more });
    return added;
  };

  it('shows the changes of each coordinator to all others', async () => {
    await Promise.all([add(one, 'p', 0), add(other, 'q', 1)]);
    expect((await one.list()).map(({ id }) => id).sort()).toEqual(['p', 'q']);
    expect(await one.prompt(retention('q', 1))).toEqual({ tokens, salt: 's', tenant: null });
  });

  it('removes the prompt of a retention, unless another retention has taken the slot', async () => {
    const old = await add(one, 'old', 0);
    await one.remove([old]);
    expect([await other.list(), await other.prompt(old)]).toEqual([[], null]);
    const next = await add(one, 'next', 0);
    await other.remove([old]);
    expect(await other.prompt(next)).toEqual({ tokens, salt: 's', tenant: null });
    expect(await other.list()).toEqual([next]);
  });

  it('keeps the adapter of a prompt', async () => {
    const adapter = { name: 'a', file: 'a.onnx_adapter', fingerprint: 'f'.repeat(64), bytes: 9 };
    await add(one, 'p', 0, { adapter });
    expect(await other.prompt(retention('p', 0))).toEqual({ tokens, salt: 's', tenant: null, adapter });
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
    const fresh = storeOf(kv, 3);
    expect([await fresh.sync(), await fresh.prompt(added)]).toEqual([[added], { tokens, salt: 's', tenant: null }]);
    await one.remove([added]);
    expect([await other.sync(), await other.sync()]).toEqual([[], []]);
  });

  it('puts a prompt back whose slot was overwritten or erased, while the list stayed', async () => {
    const added: Retention[] = [];
    for (let i = 0; i < 20; i++) added.push(await add(one, `p${i}`, i));
    await one.sync();
    await kv.update('prompt-3', Uint8Array.of(1, 2), (await kv.get('prompt-3'))!.revision);
    await kv.delete('prompt-17');
    for (let i = 0; i < 3; i++) await one.sync();
    for (const each of added) expect(await storeOf(kv, 3).prompt(each)).toEqual({ tokens, salt: 's', tenant: null });
  });

  it('leaves no prompt of a retention that another coordinator removes meanwhile', async () => {
    for (let waits = 0; waits < 12; waits++) {
      const added = await add(one, 'p', 0);
      await other.sync();
      await kv.delete('prompt-0');
      const syncing = other.sync();
      for (let i = 0; i < waits; i++) await Promise.resolve();
      await one.remove([added]);
      await syncing;
      expect(await storeOf(kv, 3).prompt(added)).toBeNull();
    }
  });

  it('takes a prompt back that it put back after the removal of its retention', async () => {
    const added = await add(one, 'p', 0);
    const late = new MemoryKeyValue();
    const through: typeof late = Object.assign(late, {
      get: (key: string) => kv.get(key),
      update: (key: string, value: Uint8Array, revision: number) => kv.update(key, value, revision),
      create: async (key: string, value: Uint8Array) => {
        await one.remove([added]);
        return kv.create(key, value);
      },
    });
    other = storeOf(through, 2);
    await other.prompt(added);
    await kv.delete('prompt-0');
    await other.sync();
    expect(await storeOf(kv, 3).prompt(added)).toBeNull();
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
      const fresh = storeOf(kv, 3);
      expect([(await fresh.list())[0], await fresh.prompt(added)]).toEqual([
        added,
        { tokens, salt: 's', tenant: null },
      ]);
    }
    expect((await other.list()).map(({ id }) => id)).toEqual(['p', 'q']);
  });

  it('is put back beside what a new coordinator has pinned since the bucket came back empty', async () => {
    const lost = await Promise.all(['p', 'q', 'r'].map((id, slot) => add(one, id, slot)));
    await Promise.all([one.sync(), other.sync()]);
    for (const key of ['list', 'prompt-0', 'prompt-1', 'prompt-2']) await kv.delete(key);
    const fresh = storeOf(kv, 3);
    const pinned = await add(fresh, 'new', 0);
    await Promise.all([one.sync(), other.sync()]);
    for (const store of [one, other, fresh, storeOf(kv, 4)]) {
      const all = await store.sync();
      expect(all.map(({ id }) => id).sort()).toEqual(['new', 'p', 'q', 'r']);
      expect(new Set(all.map(({ slot }) => slot)).size).toBe(4);
      for (const each of all) expect(await storeOf(kv, 5).prompt(each)).toEqual({ tokens, salt: 's', tenant: null });
    }
    await fresh.remove([pinned]);
    await other.remove([lost[1]!]);
    expect((await one.sync()).map(({ id }) => id).sort()).toEqual(['p', 'r']);
  });

  it('is put back no further than its limits allow', async () => {
    for (let slot = 0; slot < 3; slot++) await add(one, `p${slot}`, slot);
    await one.sync();
    await kv.delete('list');
    await storeOf(kv, 3).change(() => Array.from({ length: RETENTIONS - 1 }, (_, i) => retention(`r${i}`, i)));
    expect((await one.sync()).length).toBe(RETENTIONS);
  });

  it('is put back in the place of a list that no member wrote', async () => {
    const added = await add(one, 'p', 0);
    const { revision } = (await kv.get('list'))!;
    await kv.update('list', Uint8Array.of(1, 2, 3), revision);
    expect(await one.list()).toEqual([added]);
    expect(await other.list()).toEqual([added]);
  });

  it('takes a list that no member wrote for empty', async () => {
    await kv.create('list', Uint8Array.of(1, 2, 3));
    expect(await one.list()).toEqual([]);
    await add(one, 'p', 0);
    expect(await other.list()).toHaveLength(1);
  });

  it('gives each retention the lowest free slot', () => {
    expect(freeSlot([retention('p', 0), retention('q', 2)])).toBe(1);
    expect(freeSlot(Array.from({ length: RETENTIONS }, (_, i) => retention(`r${i}`, i)))).toBeNull();
  });
});
