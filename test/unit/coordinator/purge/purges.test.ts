import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NOTHING_DROPPED, PURGES } from '../../../../coordinator/purge/purge.js';
import { PurgeStore } from '../../../../coordinator/purge/purge-store.js';
import { LivePurges, PURGE_ROUND_MS, totalOf } from '../../../../coordinator/purge/purges.js';
import { RetentionStore } from '../../../../coordinator/retention/retention-store.js';
import { MemoryKeyValue } from '../../../../src/bus/memory-key-value.js';
import { type PurgeSelector, selects } from '../../../../src/core/purge-selector.js';
import { ownerLabel } from '../../../../src/core/salt.js';
import { SILENT_LOG } from '../../../../src/log.js';
import { SeededRandom } from '../../../../src/random.js';
import type { TrailEvent } from '../../../../src/trail/entry.js';
import { Hive, type ScriptedWorker } from '../support/hive.js';
import { keysUnder } from '../support/test-server.js';

const TOKENS = Uint32Array.from({ length: 64 * 5 }, (_, i) => i % 11);
const OURS = keysUnder(TOKENS, 'tenant/acme:all:');
const THEIRS = keysUnder(TOKENS, 'tenant/beta:all:');
const ACME: PurgeSelector = { labels: [ownerLabel('tenant/acme')], keys: new Set() };

let hive: Hive;
let purges: LivePurges;
let trail: TrailEvent[];
const memories = new Map<string, Set<string>>();

function script(id: string) {
  return (worker: ScriptedWorker) => {
    worker.onPurge = (selector) => {
      const memory = memories.get(id)!;
      const gone = [...memory].filter((key) => selects(selector, key));
      for (const key of gone) memory.delete(key);
      return { ...NOTHING_DROPPED, device: gone.length, blocks: gone.length };
    };
  };
}
const add = (id: string, over = {}) => hive.add(id, over, [], script(id));

beforeEach(async () => {
  hive = new Hive();
  trail = [];
  const kv = new MemoryKeyValue();
  const { clock, roster, actors } = hive;
  const wallMs = () => 1_700_000_000_000 + clock.now();
  const random = new SeededRandom(1);
  const store = new PurgeStore(kv, wallMs);
  const retentions = new RetentionStore(kv, random);
  const written = { write: (event: TrailEvent) => void trail.push(event) };
  purges = new LivePurges({
    clock,
    wallMs,
    random,
    roster,
    actors,
    store,
    retentions,
    trail: written,
    log: SILENT_LOG,
  });
  await purges.start();
  for (const id of ['a', 'b', 'c']) memories.set(id, new Set([...OURS, ...THEIRS]));
  for (const id of ['a', 'b', 'c']) await add(id);
});
afterEach(async () => {
  await purges.stop();
  await hive.close();
});

/** Settles a promise while time passes. */
async function during<T>(promise: Promise<T>): Promise<T> {
  let settled = false;
  const end = promise.finally(() => {
    settled = true;
  });
  for (let i = 0; i < 200 && !settled; i++) await hive.pass(400);
  return end;
}

describe('a purge', () => {
  it('drops the blocks at all workers, and its receipt counts them', async () => {
    const purge = await during(purges.order('tenant', ACME, 'acme'));
    expect(purge.rows.map(({ worker, state, counts }) => [worker, state, counts.blocks]).sort()).toEqual([
      ['a', 'done', 5],
      ['b', 'done', 5],
      ['c', 'done', 5],
    ]);
    for (const memory of memories.values()) expect([...memory]).toEqual(THEIRS);
    expect(trail).toEqual([{ event: 'purge_complete', purge: purge.id, tenant: 'acme', blocks: 15 }]);
    expect(await purges.get(purge.id)).toEqual(purge);
  });

  it('is done by a worker that was away when it comes back, and then what it gave to others is dropped too', async () => {
    const away = hive.workers.find(({ id }) => id === 'b')!;
    await away.die();
    const purge = await during(purges.order('tenant', ACME, 'acme'));
    expect(purge.rows.find(({ worker }) => worker === 'b')).toMatchObject({ state: 'unreachable' });
    expect(totalOf(purge).blocks).toBe(10);
    expect(trail).toEqual([]);
    await hive.pass(60_000);
    expect((await purges.get(purge.id))!.rows.find(({ worker }) => worker === 'b')).toMatchObject({
      state: 'unreachable',
    });
    // Its next process has the blocks of its disk, and gives one to another worker before it is asked.
    await add('b', { generation: 2, incarnation: 'b-2' });
    memories.get('a')!.add(OURS[0]!);
    await hive.pass(2 * PURGE_ROUND_MS);
    const done = (await purges.get(purge.id))!;
    expect(done.rows.every(({ state }) => state === 'done')).toBe(true);
    expect(totalOf(done).blocks).toBe(16);
    for (const memory of memories.values()) expect([...memory]).toEqual(THEIRS);
    expect(trail).toMatchObject([{ event: 'purge_complete', purge: purge.id }]);
  });

  it('is done by a worker that nobody knew, and by no process twice', async () => {
    const purge = await during(purges.order('tenant', ACME, 'acme'));
    memories.set('d', new Set([...OURS, ...THEIRS]));
    await add('d');
    await hive.pass(2 * PURGE_ROUND_MS);
    expect([...memories.get('d')!]).toEqual(THEIRS);
    expect((await purges.get(purge.id))!.rows.map(({ worker }) => worker).sort()).toEqual(['a', 'b', 'c', 'd']);
    // What is computed afterwards is the tenant's again.
    memories.get('d')!.add(OURS[0]!);
    await hive.pass(5 * PURGE_ROUND_MS);
    expect(memories.get('d')!.has(OURS[0]!)).toBe(true);
  });

  it('gives way to later ones once it is complete', async () => {
    const first = await during(purges.order('tenant', ACME, 'acme'));
    for (let i = 0; i < PURGES; i++) await during(purges.order('tenant', ACME, 'acme'));
    expect(await purges.get(first.id)).toBeNull();
  });
});
