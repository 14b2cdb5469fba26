import { afterEach, describe, expect, it } from 'vitest';
import { Corrupt, type ShoalError } from '../../../../src/errors.js';
import { Corruption, SpoilingClient } from '../../../../workers/chaos/corruption.js';
import { BLOCK_BYTES, blocksOf, MemoryHost } from '../../peer/support/host.js';
import { NotingObserver } from '../../peer/support/observer.js';
import { ALICE, Pair, SECRET, type Via } from '../../peer/support/pair.js';
import { MemorySink } from '../../peer/support/sink.js';
import { until } from '../../peer/support/until.js';

const NEVER = new AbortController().signal;
const blocks = blocksOf('a', 3);
const keys = blocks.map(({ block }) => block.key);

let pair: Pair;
afterEach(() => pair.close());

describe.each<Via>(['unix', 'tcp', 'memory'])('blocks that a worker corrupts on their way, over %s', (via) => {
  it('are refused by their digest, and the worker is named; its own blocks stay right', async () => {
    const corruption = new Corruption();
    const observer = new NotingObserver();
    pair = await Pair.openFor(via);
    pair.host.add(blocks);
    const given = corruption.host(pair.host);
    const served = await Pair.open({ host: Object.assign(given, { memory: null }) as unknown as MemoryHost });
    try {
      const client = served.clientFor(via, { observer });
      const fetch = async () => {
        const sink = new MemorySink();
        await client.fetch(served.target(via), keys, sink, NEVER);
        return Buffer.concat(keys.map((key) => sink.places.get(key)!));
      };
      corruption.active = true;
      await expect(fetch()).rejects.toThrow(Corrupt);
      expect(observer.integrityFailures).toEqual([{ stage: 'fetch', peer: 'bob', block: keys[0] }]);
      corruption.active = false;
      expect((await fetch()).equals(Buffer.concat(blocks.map(({ bytes }) => bytes)))).toBe(true);
      await until(() => pair.host.pinned === 0);
    } finally {
      await served.close();
    }
  });
});

it('a peer that is pushed corrupt blocks refuses them and names the worker', async () => {
  const corruption = new Corruption();
  const observer = new NotingObserver();
  pair = await Pair.open({ observer });
  const own = new MemoryHost();
  const [offered, pin] = own.offer(blocks);
  const client = new SpoilingClient(
    { identity: ALICE, hostId: 'here', secret: SECRET, blockBytes: BLOCK_BYTES },
    corruption,
  );
  const push = () => client.push(pair.target('unix'), offered, pin, NEVER);
  corruption.active = true;
  await push().catch((error: ShoalError) => error);
  await until(() => observer.integrityFailures.length > 0);
  expect(observer.integrityFailures[0]).toMatchObject({ stage: 'push', peer: 'alice' });
  expect(pair.host.blocks.size).toBe(0);
  corruption.active = false;
  expect([...(await push())].toSorted()).toEqual(keys.toSorted());
  await until(() => own.pinned === 0);
  client.close();
});
