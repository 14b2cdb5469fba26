import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  INCOMPLETE_PURGES_PER_OWNER,
  NOTHING_DROPPED,
  PURGES,
  PURGES_FOR_OPERATORS,
} from '../../../../coordinator/purge/purge.js';
import { PurgeStore } from '../../../../coordinator/purge/purge-store.js';
import { LivePurges, PURGE_ROUND_MS, totalOf } from '../../../../coordinator/purge/purges.js';
import { segmentsOf } from '../../../../coordinator/retention/retention.js';
import { RetentionStore } from '../../../../coordinator/retention/retention-store.js';
import { MemoryKeyValue } from '../../../../src/bus/memory-key-value.js';
import { blockKeys, rootSeed } from '../../../../src/core/key.js';
import { type PurgeSelector, type SaltGroup, selects } from '../../../../src/core/purge-selector.js';
import { ownerDigest, ownerLabel, type Salt, saltLabel, withLayers } from '../../../../src/core/salt.js';
import { SILENT_LOG } from '../../../../src/log.js';
import { versionTime } from '../../../../src/objects/version.js';
import { SeededRandom } from '../../../../src/random.js';
import type { TrailEvent } from '../../../../src/trail/entry.js';
import { withDescendants } from '../../../../workers/audit/descendants.js';
import { Hive, type ScriptedWorker } from '../support/hive.js';
import { keysUnder } from '../support/test-server.js';

const TOKENS = Uint32Array.from({ length: 64 * 5 }, (_, i) => i % 11);
const OURS = keysUnder(TOKENS, 'tenant/acme:all:');
const THEIRS = keysUnder(TOKENS, 'tenant/beta:all:');
const ACME: PurgeSelector = { labels: [ownerLabel('tenant/acme')], keys: new Set() };

const blocksOf = (tokens: Uint32Array, salt: Salt | null) =>
  blockKeys(tokens, rootSeed({ fingerprint: 'f'.repeat(64), adapter: '', salt: salt ?? '' }));

let hive: Hive;
let purges: LivePurges;
let trail: TrailEvent[];
let kv: MemoryKeyValue;
let retentions: RetentionStore;
let forgotten: SaltGroup[];
const memories = new Map<string, Set<string>>();

function script(id: string) {
  return (worker: ScriptedWorker) => {
    worker.onPurge = (selector) => {
      const memory = memories.get(id)!;
      const gone = [...memory].filter((key) => selects(selector, key));
      for (const key of gone) memory.delete(key);
      return { ...NOTHING_DROPPED, device: gone.length, blocks: gone.length, gone };
    };
  };
}
const add = (id: string, over = {}) => hive.add(id, over, [], script(id));

beforeEach(async () => {
  hive = new Hive();
  trail = [];
  forgotten = [];
  kv = new MemoryKeyValue();
  const { clock, roster, actors } = hive;
  const wallMs = () => 1_700_000_000_000 + clock.now();
  const random = new SeededRandom(1);
  const store = new PurgeStore(kv, wallMs);
  retentions = new RetentionStore(kv, random);
  const written = { write: (event: TrailEvent) => void trail.push(event) };
  purges = new LivePurges({
    clock,
    wallMs,
    random,
    roster,
    actors,
    store,
    retentions,
    blocksOf,
    answers: {
      forget: async (group) => {
        forgotten.push(group);
        return 3;
      },
    },
    trail: written,
    log: SILENT_LOG,
  });
  await purges.start();
  memories.clear();
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
  // It may reject while time passes.
  end.catch(() => {});
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
    expect(trail).toEqual([{ event: 'purge_complete', purge: purge.id, tenant: 'acme', blocks: 5 }]);
    expect(await purges.get(purge.id)).toEqual(purge);
  });

  it('is done by a worker that was away when it comes back, and then what it gave to others is dropped too', async () => {
    const away = hive.workers.find(({ id }) => id === 'b')!;
    await away.die();
    const purge = await during(purges.order('tenant', ACME, 'acme'));
    expect(purge.rows.find(({ worker }) => worker === 'b')).toMatchObject({ state: 'unreachable' });
    expect(totalOf(purge)).toMatchObject({ device: 10, blocks: 5 });
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
    expect(totalOf(done)).toMatchObject({ device: 16, blocks: 5 });
    for (const memory of memories.values()) expect([...memory]).toEqual(THEIRS);
    expect(trail).toMatchObject([{ event: 'purge_complete', purge: purge.id }]);
  });

  it.each([
    ['the list', () => ['purges']],
    ['its value', (id: string) => [`purge-${id}`]],
    ['all of it', (id: string) => ['purges', `purge-${id}`]],
  ])('is carried out, and its receipt kept, although NATS loses %s', async (_, lost) => {
    const away = hive.workers.find(({ id }) => id === 'b')!;
    await away.die();
    const purge = await during(purges.order('tenant', ACME, 'acme'));
    await hive.pass(2 * PURGE_ROUND_MS);
    for (const key of lost(purge.id)) await kv.delete(key);
    await hive.pass(2 * PURGE_ROUND_MS);
    await add('b', { generation: 2, incarnation: 'b-2' });
    await hive.pass(2 * PURGE_ROUND_MS);
    expect([...memories.get('b')!]).toEqual(THEIRS);
    for (const key of lost(purge.id)) await kv.delete(key);
    await hive.pass(2 * PURGE_ROUND_MS);
    expect((await purges.get(purge.id))!.rows.every(({ state }) => state === 'done')).toBe(true);
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

  it('finds what continues a prompt, though no worker has all of it, also where one comes back later', async () => {
    const blocks = blocksOf(TOKENS, 'tenant/acme:all:');
    const parts = { a: OURS.slice(0, 2), b: OURS.slice(2, 3), c: OURS.slice(3) };
    for (const [id, part] of Object.entries(parts)) {
      memories.set(id, new Set([...part, ...THEIRS]));
      hive.workers.find((worker) => worker.id === id)!.onPurge = (selector) => {
        const memory = memories.get(id)!;
        const here = blocks.filter(({ key }) => memory.has(key));
        const gone = withDescendants(here, selector.keys);
        for (const key of gone) memory.delete(key);
        const beyond = [...gone].filter((key) => !selects(selector, key));
        return { ...NOTHING_DROPPED, device: gone.size, blocks: gone.size, beyond, gone };
      };
    }
    const purge = await during(purges.order('prompt', { labels: [], keys: new Set(OURS.slice(0, 1)) }, 'acme'));
    for (const memory of memories.values()) expect([...memory]).toEqual(THEIRS);
    expect(totalOf(purge).blocks).toBe(5);
    // What a worker brings back that nobody knew is dropped by what the purge has found.
    memories.set('d', new Set([OURS[4]!, ...THEIRS]));
    await add('d');
    await hive.pass(2 * PURGE_ROUND_MS);
    expect([...memories.get('d')!]).toEqual(THEIRS);
  });

  it('gives way to later ones of the tenant with most once it is complete', async () => {
    const other = await during(purges.order('salt', { labels: [], keys: new Set() }, 'beta'));
    const first = await during(purges.order('tenant', ACME, 'acme'));
    for (let i = 0; i < PURGES; i++) await during(purges.order('tenant', ACME, 'acme'));
    expect(await purges.get(first.id)).toBeNull();
    expect(await purges.get(other.id)).not.toBeNull();
  });

  it('is refused to a tenant with many that wait for a worker, and to no other', async () => {
    await hive.workers.find(({ id }) => id === 'b')!.die();
    for (let i = 0; i < INCOMPLETE_PURGES_PER_OWNER; i++) await during(purges.order('tenant', ACME, 'acme'));
    await expect(during(purges.order('tenant', ACME, 'acme'))).rejects.toThrow(/purges of this tenant wait/);
    expect(await during(purges.order('salt', { labels: [], keys: new Set() }, 'beta'))).toMatchObject({
      owner: 'beta',
    });
  });
});

describe('purges that wait for a worker that is away', () => {
  it('leave room for those of operators', async () => {
    await hive.workers.find(({ id }) => id === 'b')!.die();
    const order = (owner: string | null) => during(purges.order('tenant', ACME, owner));
    let taken = 0;
    for (const tenant of ['t1', 't2', 't3', 't4']) {
      for (let i = 0; i < INCOMPLETE_PURGES_PER_OWNER; i++) {
        taken += await order(tenant).then(
          () => 1,
          () => 0,
        );
      }
    }
    expect(taken).toBe(PURGES - PURGES_FOR_OPERATORS);
    for (let i = 0; i < PURGES_FOR_OPERATORS; i++) expect(await order(null)).toMatchObject({ owner: null });
    await expect(order(null)).rejects.toThrow(/purges wait for workers that are away/);
  });
});

describe('the objects that a purge drops', () => {
  const GROUP: SaltGroup = { by: 'owner', digest: ownerDigest('tenant/acme') };
  /** The version times of a worker's objects, and of its clock. */
  const values = new Map<string, { times: number[]; now: number }>();

  beforeEach(() => {
    for (const [i, id] of ['a', 'b', 'c'].entries()) {
      values.set(id, { times: [10, 20], now: 2 ** 51 + i });
      hive.workers.find((worker) => worker.id === id)!.onPurge = ({ objects }) => {
        const here = values.get(id)!;
        if (!objects) return NOTHING_DROPPED;
        expect({ by: objects.by, digest: objects.digest }).toEqual(GROUP);
        const before = objects.before ?? here.now;
        const kept = here.times.filter((at) => at >= before);
        const dropped = here.times.length - kept.length;
        here.times = kept;
        return { ...NOTHING_DROPPED, values: dropped, before };
      };
    }
  });

  it('are those from before it, on a worker that comes back too, and not what was written since', async () => {
    const away = hive.workers.find(({ id }) => id === 'b')!;
    await away.die();
    const purge = await during(purges.order('tenant', { ...ACME, objects: GROUP }, 'acme'));
    expect(totalOf(purge).values).toBe(4);
    const since = 2 ** 51 + 100;
    values.get('a')!.times.push(since);
    values.get('b')!.times.push(since);
    await add('b', { generation: 2, incarnation: 'b-2' });
    const { onPurge } = away;
    let given = [10];
    hive.workers.at(-1)!.onPurge = (selector) => {
      // It has given what it had to another worker before it is asked.
      values.get('a')!.times.push(...given);
      given = [];
      return onPurge(selector);
    };
    await hive.pass(2 * PURGE_ROUND_MS);
    expect(values.get('a')!.times).toEqual([since]);
    expect(values.get('b')!.times).toEqual([since]);
    expect(totalOf((await purges.get(purge.id))!).values).toBe(7);
  });

  it('are dropped as of the order if no worker was there', async () => {
    for (const worker of [...hive.workers]) await worker.die();
    await during(purges.order('tenant', { ...ACME, objects: GROUP }, 'acme'));
    const since = versionTime(1_700_000_000_000 + hive.clock.now());
    values.get('a')!.times.push(since);
    const { onPurge } = hive.workers[0]!;
    await add('a', { generation: 2, incarnation: 'a-2' });
    hive.workers.at(-1)!.onPurge = onPurge;
    await hive.pass(2 * PURGE_ROUND_MS);
    expect(values.get('a')!.times).toEqual([since]);
  });

  it('leave no answers for retries', async () => {
    const purge = await during(purges.order('tenant', { ...ACME, objects: GROUP, answers: GROUP }, 'acme'));
    expect([forgotten, purge.answers]).toEqual([[GROUP], 3]);
    await during(purges.order('share', ACME, 'acme'));
    expect(forgotten).toHaveLength(1);
  });
});

describe('the pins that a purge ends', () => {
  const own = (tenant: string) => `tenant/${tenant}:all:`;
  const layered = (salt: string, blocks: number) => withLayers(salt, [{ salt: 'layer/public:', blocks }]);

  async function pin(id: string, salt: Salt, { owner = 'acme', tokens = TOKENS, layer = null as string | null } = {}) {
    const blocks = blocksOf(tokens, salt);
    const slot = (await retentions.list()).length;
    const common = { id, slot, owner, layer, tokens: tokens.length, blocks: blocks.length, reason: null };
    const times = { createdMs: 0, expiresMs: 2e12, stage: 'settled' as const };
    const added = { ...common, segments: segmentsOf(blocks), last: blocks.at(-1)!.key, ...times };
    await retentions.change((all) => [...all, added]);
    await retentions.writePrompt(added, { tokens, salt, tenant: null });
  }
  const left = async () => (await retentions.list()).map(({ id }) => id);

  it('are those of which it drops any block, so that nobody computes it again', async () => {
    const longer = Uint32Array.from([...TOKENS, ...TOKENS]);
    await pin('that continues it', own('acme'), { tokens: longer });
    await pin('that is its beginning', own('acme'), { tokens: TOKENS.slice(0, 130) });
    await pin('of another salt', `${own('acme')}x`);
    await pin('of another tenant', own('beta'), { owner: 'beta' });
    const purge = await during(purges.order('prompt', { labels: [], keys: new Set(OURS) }, 'acme'));
    expect([purge.pins, await left()]).toEqual([2, ['of another salt', 'of another tenant']]);
  });

  it('are all pins of a purged tenant, but not what it published', async () => {
    await pin('under its salt', `${own('acme')}x`);
    await pin('whose blocks are all those of a layer', layered(own('acme'), 5));
    await pin('that publishes', layered('layer/public:', 5), { layer: 'public' });
    await pin('of another tenant', layered(own('beta'), 5), { owner: 'beta' });
    const purge = await during(purges.order('tenant', ACME, 'acme'));
    expect([purge.pins, await left()]).toEqual([2, ['that publishes', 'of another tenant']]);
  });

  it('are all pins that stand on a purged layer', async () => {
    await pin('that publishes', layered('layer/public:', 5), { owner: 'operations', layer: 'public' });
    await pin('that continues it', layered(own('beta'), 3), { owner: 'beta' });
    await pin('without a layer', own('beta'), { owner: 'beta' });
    const selector = { labels: [saltLabel('layer/public:')], keys: new Set<string>() };
    const purge = await during(purges.order('share', selector, 'operations'));
    expect([purge.pins, await left()]).toEqual([2, ['without a layer']]);
  });

  it('have ended for all coordinators before it asks for their blocks a last time', async () => {
    await pin('that is computed', own('acme'));
    const ordered = purges.order('tenant', ACME, 'acme');
    // The keeper, on another coordinator, has not noticed yet.
    await hive.pass(400);
    memories.get('a')!.add(OURS[0]!);
    await during(ordered);
    expect(memories.get('a')!.has(OURS[0]!)).toBe(false);
  });
});
