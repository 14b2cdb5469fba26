import { beforeEach, describe, expect, it } from 'vitest';
import { MarkedPrompts } from '../../../../coordinator/retention/marked-prompts.js';
import { RETENTIONS_PER_KEY } from '../../../../coordinator/retention/retention.js';
import { RetentionStore } from '../../../../coordinator/retention/retention-store.js';
import { LiveRetentions, type RetentionOrder } from '../../../../coordinator/retention/retentions.js';
import { MemoryKeyValue } from '../../../../src/bus/memory-key-value.js';
import { Holdings } from '../../../../src/core/holdings.js';
import { blockKeys, rootSeed } from '../../../../src/core/key.js';
import { Unavailable } from '../../../../src/errors.js';
import type { Roster } from '../../../../src/fleet/roster.js';
import { SILENT_LOG } from '../../../../src/log.js';
import { SeededRandom } from '../../../../src/random.js';

const HOUR_MS = 3_600_000;
const tokens = (length: number, from = 0) => Uint32Array.from({ length }, (_, i) => from + i);
const order = (fields: Partial<RetentionOrder>): RetentionOrder => ({
  ...{ tokens: tokens(128), salt: null, layer: null, owner: 'me', tenant: null, ttlMs: HOUR_MS },
  ...fields,
});

describe('marked prompts', () => {
  let nowMs: number;
  let store: RetentionStore;
  let retentions: LiveRetentions;

  beforeEach(() => {
    nowMs = 1_000_000;
    const random = new SeededRandom(1);
    store = new RetentionStore(new MemoryKeyValue(() => nowMs), random);
    const time = { now: async () => nowMs, latestMs: null };
    const ring = { members: ['a'], homes: () => ['a'] };
    const roster = { ring, members: () => [] } as unknown as Roster;
    const blocksOf: ConstructorParameters<typeof LiveRetentions>[0]['blocksOf'] = (all, salt, adapter) =>
      blockKeys(all, rootSeed({ fingerprint: 'f', adapter: adapter?.fingerprint ?? '', salt: salt ?? '' }));
    const keeper = { wake: () => {} };
    retentions = new LiveRetentions({
      ...{ time, random, roster, store, keeper, blocksOf, holdings: new Holdings(), replicas: 1 },
    });
  });

  const mark = (name: string | null = null) => ({ mark: { name } });
  const listed = async () => (await retentions.list('me')).map(({ id, tokens: count }) => `${id.slice(0, 4)} ${count}`);

  it('of one conversation take the place of each other, and leave pins alone', async () => {
    await retentions.add(order({}));
    for (const length of [128, 192, 256]) await retentions.add(order({ tokens: tokens(length), ...mark() }));
    expect(await listed()).toEqual(['pin- 128', 'mark 256']);
    // Another conversation that begins alike.
    await retentions.add(order({ tokens: Uint32Array.from([...tokens(128), ...tokens(128, 500)]), ...mark() }));
    expect(await listed()).toEqual(['pin- 128', 'mark 256', 'mark 256']);
    const prompts = await Promise.all((await store.list()).map((each) => store.prompt(each)));
    expect(prompts.map((prompt) => prompt?.tokens.length)).toEqual([128, 256, 256]);
  });

  it('of one name take the place of each other', async () => {
    await retentions.add(order({ tokens: tokens(128), ...mark('agent') }));
    await retentions.add(order({ tokens: tokens(192, 7), ...mark('agent') }));
    await retentions.add(order({ tokens: tokens(128, 9), ...mark('other') }));
    await retentions.add(order({ tokens: tokens(128, 9), owner: 'you', ...mark('agent') }));
    expect(await listed()).toEqual(['mark 192', 'mark 128']);
  });

  it('shorten no time, and stay as long as they were to', async () => {
    const [first] = [await retentions.add(order({ ...mark() }))];
    nowMs += 1_000;
    const again = await retentions.add(order({ ttlMs: 300_000, ...mark() }));
    expect(again).toEqual(first);
    // A prefix for an hour stays beside a longer prompt for five minutes.
    await retentions.add(order({ tokens: tokens(192), ttlMs: 300_000, ...mark() }));
    expect(await listed()).toEqual(['mark 128', 'mark 192']);
  });

  it('are pinned too, if a pin asks for the same prompt', async () => {
    await retentions.add(order({ ...mark() }));
    await retentions.add(order({}));
    await retentions.add(order({ tokens: tokens(192), ...mark() }));
    expect(await listed()).toEqual(['pin- 128', 'mark 192']);
  });

  describe('of requests', () => {
    let marked: MarkedPrompts;
    let orders: number;
    let failure: Error | null;
    beforeEach(() => {
      orders = 0;
      failure = null;
      const add: LiveRetentions['add'] = async (each) => {
        orders++;
        if (failure !== null) throw failure;
        return retentions.add(each);
      };
      const clock = { now: () => nowMs, after: () => ({ cancel: () => {} }), every: () => ({ cancel: () => {} }) };
      marked = new MarkedPrompts(
        { add },
        clock as unknown as ConstructorParameters<typeof MarkedPrompts>[1],
        SILENT_LOG,
      );
    });
    const keep = async (fields: Partial<RetentionOrder> = {}, name: string | null = null) => {
      const { layer: _, ...rest } = order(fields);
      marked.keep({ ...rest, name });
      await marked.settled();
    };

    it('are renewed at most four times in their time', async () => {
      await keep();
      await keep();
      expect(orders).toBe(1);
      nowMs += HOUR_MS / 4;
      await keep();
      expect(orders).toBe(2);
      await keep({ tokens: tokens(192) });
      expect([orders, await listed()]).toEqual([3, ['mark 192']]);
    });

    it('need a block, and are tried again after a failure', async () => {
      await keep({ tokens: tokens(63) });
      expect(orders).toBe(0);
      failure = new Unavailable('no JetStream');
      await keep();
      failure = null;
      await keep();
      expect([orders, await listed()]).toEqual([2, ['mark 128']]);
    });

    it('are left out where the key has its pins', async () => {
      for (let n = 0; n < RETENTIONS_PER_KEY; n++) await retentions.add(order({ tokens: tokens(64, 1_000 + n) }));
      await keep();
      expect((await listed()).includes('mark 128')).toBe(false);
    });
  });
});
