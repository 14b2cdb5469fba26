import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { dirname } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import { digestOf } from '../../../src/digest.js';
import {
  Cancelled,
  Corrupt,
  DeadlineExceeded,
  InternalError,
  InvalidRequest,
  Overloaded,
  Refused,
  Unavailable,
} from '../../../src/errors.js';
import { PEER_BLOCKS_IN_SOCKET, PEER_KEYS_PER_REQUEST, PEER_REQUESTS_IN_FLIGHT } from '../../../src/limits.js';
import { PEER_PUSH_PIN_MS } from '../../../src/peer/client/push-exchange.js';
import { SeededRandom } from '../../../src/random.js';
import { BLOCK_BYTES, blocksOf, bytesOf, keyOf, MemoryHost } from './support/host.js';
import { NotingObserver } from './support/observer.js';
import { ALICE, BOB, Pair, type Via } from './support/pair.js';
import { MemorySink } from './support/sink.js';
import { until } from './support/until.js';

const NEVER = new AbortController().signal;
const keysOf = (blocks: readonly { block: { key: string } }[]) => blocks.map(({ block }) => block.key);

let pair: Pair;
afterEach(() => pair.close());

function expectBytes(sink: MemorySink, blocks: ReturnType<typeof blocksOf>): void {
  for (const { block, bytes } of blocks) {
    expect(Buffer.compare(sink.places.get(block.key)!, bytes)).toBe(0);
  }
}

describe.each<Via>(['unix', 'tcp', 'memory'])('a fetch over %s', (via) => {
  it('brings blocks in order, with their bytes', async () => {
    const observer = new NotingObserver();
    pair = await Pair.openFor(via, { observer });
    const blocks = blocksOf('a', 20);
    pair.host.add(blocks);
    const sink = new MemorySink();
    const outcome = await pair.clientFor(via, { observer }).fetch(pair.target(via), keysOf(blocks), sink, NEVER);
    expect(outcome).toMatchObject({ blocks: 20, bytes: 20 * BLOCK_BYTES, missing: null });
    expect(sink.arrived).toEqual(keysOf(blocks));
    expectBytes(sink, blocks);
    await until(() => pair.host.pinned === 0);
    expect(observer.fetches).toEqual([
      { bytes: 20 * BLOCK_BYTES, direction: 'out' },
      { bytes: 20 * BLOCK_BYTES, direction: 'in' },
    ]);
  });

  it('stops at the first block that is missing', async () => {
    pair = await Pair.openFor(via);
    const blocks = blocksOf('a', 6);
    pair.host.add([...blocks.slice(0, 3), ...blocks.slice(4)]);
    const sink = new MemorySink();
    const outcome = await pair.clientFor(via).fetch(pair.target(via), keysOf(blocks), sink, NEVER);
    expect(outcome).toMatchObject({ blocks: 3, missing: keyOf('a 3') });
    expect(sink.arrived).toEqual(keysOf(blocks.slice(0, 3)));
    expect(pair.host.pinCalls).toBe(4);
  });

  it('that is given up leaves the link in step, for others that are on it and for later ones', async () => {
    pair = await Pair.openFor(via);
    const client = pair.clientFor(via);
    const [one, two, three] = [blocksOf('a', 30), blocksOf('b', 30), blocksOf('c', 5)];
    pair.host.add([...one, ...two, ...three]);
    const giveUp = new AbortController();
    const [first, second, third] = [new MemorySink(), new MemorySink(), new MemorySink()];
    first.onPlace = ({ index }) => {
      if (index === 3) giveUp.abort();
    };
    const other = client.fetch(pair.target(via), keysOf(two), second, NEVER);
    await expect(client.fetch(pair.target(via), keysOf(one), first, giveUp.signal)).rejects.toThrow(Cancelled);
    expect(first.open.size).toBe(0);
    expect(first.places.size).toBe(4);
    await client.fetch(pair.target(via), keysOf(three), third, NEVER);
    await other;
    expectBytes(second, two);
    expectBytes(third, three);
    expect(pair.server.connections).toBe(1);
    await until(() => pair.host.pinned === 0);
  });

  it('rejects when the server goes away, and the client learns that its link is lost', async () => {
    pair = await Pair.openFor(via);
    const client = pair.clientFor(via);
    const lost: string[] = [];
    client.onLinkClosed((id, incarnation) => lost.push(`${id} ${incarnation}`));
    pair.host.add(blocksOf('a', 5));
    pair.host.beforePin = (key) => (key === keyOf('a 3') ? pair.server.close() : undefined);
    const sink = new MemorySink();
    const fetch = client.fetch(pair.target(via), keysOf(blocksOf('a', 5)), sink, NEVER);
    await expect(fetch).rejects.toThrow(Unavailable);
    expect(sink.open.size).toBe(0);
    expect(lost).toEqual(['bob 0001']);
    expect(client.links()).toEqual([]);
    await until(() => pair.host.pinned === 0);
  });

  it('with bytes that do not agree with their digest is Corrupt and ends the link, which is made anew when it is needed', async () => {
    const observer = new NotingObserver();
    pair = await Pair.openFor(via);
    const client = pair.clientFor(via, { observer });
    const blocks = blocksOf('a', 4);
    pair.host.add(blocks);
    pair.host.add([{ block: blocks[2]!.block, bytes: bytesOf('something else') }]);
    const sink = new MemorySink();
    await expect(client.fetch(pair.target(via), keysOf(blocks), sink, NEVER)).rejects.toThrow(Corrupt);
    expect(sink.arrived).toEqual(keysOf(blocks.slice(0, 2)));
    expect(sink.aborted).toEqual([keyOf('a 2')]);
    expect(observer.integrityFailures).toEqual([{ stage: 'fetch', peer: 'bob', block: keyOf('a 2') }]);
    expect(observer.failures).toEqual(['corrupt']);
    expect(client.links()).toEqual([]);
    const again = new MemorySink();
    await client.fetch(pair.target(via), keysOf(blocks.slice(0, 2)), again, NEVER);
    expectBytes(again, blocks.slice(0, 2));
  });
});

describe('a fetch', () => {
  it('asks for more keys than fit one request', async () => {
    pair = await Pair.open({ host: new MemoryHost(64), blockBytes: 64 });
    const blocks = blocksOf('a', PEER_KEYS_PER_REQUEST + 10, 64);
    pair.host.add(blocks);
    const sink = new MemorySink();
    const outcome = await pair.client({ blockBytes: 64 }).fetch(pair.target('unix'), keysOf(blocks), sink, NEVER);
    expect(outcome).toMatchObject({ blocks: blocks.length, missing: null });
    expectBytes(sink, blocks);
  });

  it('shares one link with many others, and the server pins few blocks at a time', async () => {
    pair = await Pair.open();
    const client = pair.client();
    const prompts = Array.from({ length: 20 }, (_, i) => blocksOf(`prompt ${i}`, 4));
    for (const blocks of prompts) pair.host.add(blocks);
    let mostPinned = 0;
    pair.host.beforePin = () => {
      mostPinned = Math.max(mostPinned, pair.host.pinned + 1);
    };
    await Promise.all(
      prompts.map(async (blocks) => {
        const sink = new MemorySink();
        await client.fetch(pair.target('unix'), keysOf(blocks), sink, NEVER);
        expectBytes(sink, blocks);
      }),
    );
    expect(pair.server.connections).toBe(1);
    expect(mostPinned).toBeLessThanOrEqual(PEER_BLOCKS_IN_SOCKET);
  });

  it('is Overloaded if too many are in flight, and the others are not disturbed', async () => {
    pair = await Pair.open();
    const client = pair.client();
    const blocks = blocksOf('a', 1);
    pair.host.add(blocks);
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    pair.host.beforePin = () => gate;
    const fetch = () => client.fetch(pair.target('unix'), keysOf(blocks), new MemorySink(), NEVER);
    const going = Array.from({ length: PEER_REQUESTS_IN_FLIGHT }, fetch);
    await until(() => client.links()[0]?.requestsInFlight === PEER_REQUESTS_IN_FLIGHT);
    await expect(fetch()).rejects.toThrow(Overloaded);
    open();
    for (const { blocks: came } of await Promise.all(going)) expect(came).toBe(1);
  });

  it('skips blocks that are no longer wanted', async () => {
    pair = await Pair.open();
    const blocks = blocksOf('a', 6);
    pair.host.add(blocks);
    const sink = new MemorySink();
    sink.wants = ({ index }) => index % 2 === 0;
    const outcome = await pair.client().fetch(pair.target('unix'), keysOf(blocks), sink, NEVER);
    expect(outcome).toMatchObject({ blocks: 3, missing: null });
    expectBytes(
      sink,
      blocks.filter(({ block }) => block.index % 2 === 0),
    );
  });

  it('rejects with the error of its sink, and the link stays open', async () => {
    pair = await Pair.open();
    const client = pair.client();
    const blocks = blocksOf('a', 6);
    pair.host.add(blocks);
    const placing = new MemorySink();
    placing.onPlace = ({ index, key }) => {
      placing.open.delete(key);
      if (index === 2) throw new Overloaded('no room');
      placing.open.add(key);
    };
    await expect(client.fetch(pair.target('unix'), keysOf(blocks), placing, NEVER)).rejects.toThrow('no room');
    const keeping = new MemorySink();
    keeping.onDone = async ({ index }) => {
      if (index === 2) throw new Overloaded('no room');
    };
    await expect(client.fetch(pair.target('unix'), keysOf(blocks), keeping, NEVER)).rejects.toThrow(Overloaded);
    expect(keeping.open.size).toBe(0);
    const sink = new MemorySink();
    await client.fetch(pair.target('unix'), keysOf(blocks), sink, NEVER);
    expectBytes(sink, blocks);
    expect(pair.server.connections).toBe(1);
  });

  it('waits until all blocks are kept', async () => {
    pair = await Pair.open();
    pair.host.add(blocksOf('a', 1));
    const sink = new MemorySink();
    let kept = false;
    sink.onDone = async () => {
      await until(() => pair.host.pinned === 0);
      kept = true;
    };
    await pair.client().fetch(pair.target('unix'), [keyOf('a 0')], sink, NEVER);
    expect(kept).toBe(true);
  });

  it('rejects with the error that the host gave for a pin, as the same class', async () => {
    pair = await Pair.open();
    pair.host.beforePin = () => {
      throw new Overloaded('the device is busy');
    };
    const client = pair.client();
    const fetch = () => client.fetch(pair.target('unix'), [keyOf('a')], new MemorySink(), NEVER);
    await expect(fetch()).rejects.toThrow(Overloaded);
    await expect(fetch()).rejects.toThrow('the device is busy');
    expect(pair.server.connections).toBe(1);
  });

  it('is not begun if its signal was raised before, and rejects with the reason', async () => {
    pair = await Pair.open();
    const signal = AbortSignal.abort(new DeadlineExceeded('too late'));
    const fetch = pair.client().fetch(pair.target('unix'), [keyOf('a')], new MemorySink(), signal);
    await expect(fetch).rejects.toThrow(DeadlineExceeded);
    expect(pair.host.pinCalls).toBe(0);
  });

  it('rejects if no byte moves within the time limit', async () => {
    pair = await Pair.open();
    pair.host.beforePin = () => new Promise(() => {});
    const client = pair.client({ progressTimeoutMs: 30 });
    const fetch = client.fetch(pair.target('unix'), [keyOf('a')], new MemorySink(), NEVER);
    await expect(fetch).rejects.toThrow('no bytes came from or went to a peer for 30 ms');
  });
});

describe('a push', () => {
  it.each<Via>(['unix', 'tcp'])('over %s sends what the other wants, and tells what it has', async (via) => {
    pair = await Pair.open();
    const blocks = blocksOf('a', 40);
    pair.host.add(blocks.slice(5, 7));
    pair.host.room = 30;
    const own = new MemoryHost();
    const acknowledged = await pair.client().push(pair.target(via), ...own.offer(blocks), NEVER);
    expect([...acknowledged].sort()).toEqual(keysOf(blocks.slice(0, 32)).sort());
    for (const { block, bytes } of blocks.slice(0, 32)) {
      const kept = pair.host.blocks.get(block.key)!;
      expect(kept.block).toEqual(block);
      expect(Buffer.compare(kept.bytes, bytes)).toBe(0);
    }
    expect(pair.host.blocks.size).toBe(32);
    expect(own.pinned).toBe(0);
    expect(pair.host.admitted.size).toBe(0);
  });

  it('continues without a block that is not ready in time, and keeps the link', async () => {
    const clock = new SimulatedClock();
    pair = await Pair.open();
    const client = pair.client({ clock });
    const own = new MemoryHost();
    const blocks = blocksOf('a', 3);
    let goOn = () => {};
    own.beforePin = (key) => {
      if (key !== blocks[1]!.block.key) return;
      return new Promise((resolve) => {
        goOn = resolve;
      });
    };
    const push = client.push(pair.target('unix'), ...own.offer(blocks), NEVER);
    await until(() => own.pinCalls === 2);
    await clock.advance(PEER_PUSH_PIN_MS);
    expect(await push).toEqual(new Set(keysOf(blocks.slice(0, 1))));
    expect(client.links()).toMatchObject([{ state: 'open' }]);
    goOn();
    await until(() => own.pinned === 0);
  });

  it('does not count a block that could not be kept', async () => {
    pair = await Pair.open();
    pair.host.beforeCommit = (key) => {
      if (key === keyOf('a 1')) throw new Overloaded('no');
    };
    const own = new MemoryHost();
    const offer = own.offer(blocksOf('a', 3));
    const acknowledged = await pair.client().push(pair.target('unix'), ...offer, NEVER);
    expect(acknowledged).toEqual(new Set([keyOf('a 0'), keyOf('a 2')]));
  });

  it('with bytes that do not agree with their digest is refused, not kept, and ends the connection', async () => {
    const observer = new NotingObserver();
    pair = await Pair.open({ observer });
    const own = new MemoryHost();
    const blocks = blocksOf('a', 3);
    blocks[1]!.bytes = bytesOf('something else');
    const offer = own.offer(blocks);
    await expect(pair.client().push(pair.target('unix'), ...offer, NEVER)).rejects.toThrow(Corrupt);
    await until(() => pair.server.connections === 0);
    expect(observer.integrityFailures).toEqual([{ stage: 'push', peer: 'alice', block: keyOf('a 1') }]);
    expect(own.pinned).toBe(0);
    expect(pair.host.admitted.size).toBe(0);
    expect([...pair.host.blocks.keys()]).toEqual([keyOf('a 0')]);
  });

  it('pins only the blocks that the peer wants, one after another', async () => {
    pair = await Pair.open();
    const blocks = blocksOf('a', 6);
    pair.host.add(blocks.slice(0, 4));
    const own = new MemoryHost();
    const client = pair.client();
    await client.push(pair.target('unix'), ...own.offer(blocks), NEVER);
    expect(own.pinCalls).toBe(2);
    await client.push(pair.target('unix'), ...own.offer(blocks), NEVER);
    expect(own.pinCalls).toBe(2);
  });

  it('ends at a block that is gone, and keeps the link in step', async () => {
    pair = await Pair.open();
    const own = new MemoryHost();
    const blocks = blocksOf('a', 4);
    const offer = own.offer(blocks);
    own.blocks.delete(keyOf('a 2'));
    const client = pair.client();
    expect(await client.push(pair.target('unix'), ...offer, NEVER)).toEqual(new Set(keysOf(blocks.slice(0, 2))));
    await until(() => own.pinned === 0 && pair.host.admitted.size === 0);
    expect((await client.push(pair.target('unix'), ...own.offer(blocks), NEVER)).size).toBe(4);
    expect(pair.server.connections).toBe(1);
  });

  it('rejects with the error with which a block could not be pinned, and unpins the others', async () => {
    pair = await Pair.open();
    const own = new MemoryHost();
    own.beforePin = (key) => {
      if (key === keyOf('a 1')) throw new Overloaded('the disk does not answer');
    };
    const push = pair.client().push(pair.target('unix'), ...own.offer(blocksOf('a', 3)), NEVER);
    await expect(push).rejects.toThrow('the disk does not answer');
    await until(() => own.pinned === 0 && pair.host.admitted.size === 0);
  });

  it('of blocks of another length is a mistake of the caller, and unpins them', async () => {
    pair = await Pair.open();
    const own = new MemoryHost();
    const offer = own.offer(blocksOf('a', 2, BLOCK_BYTES - 1));
    await expect(pair.client().push(pair.target('unix'), ...offer, NEVER)).rejects.toThrow(InternalError);
    expect(own.pinned).toBe(0);
  });

  it("rejects with the host's error, and the link stays open", async () => {
    pair = await Pair.open();
    const client = pair.client();
    const own = new MemoryHost();
    pair.host.beforeAdmit = ({ index }) => {
      if (index === 1) throw new Overloaded('the store is closing');
    };
    const push = client.push(pair.target('unix'), ...own.offer(blocksOf('a', 3)), NEVER);
    await expect(push).rejects.toThrow('the store is closing');
    expect(own.pinned).toBe(0);
    expect(pair.host.admitted.size).toBe(0);
    await client.ping(pair.target('unix'), 5_000);
    expect(pair.server.connections).toBe(1);
  });

  it('that is given up unpins its blocks, has the reserved memory freed, and leaves the link in step', async () => {
    pair = await Pair.open();
    const client = pair.client();
    const own = new MemoryHost();
    const giveUp = new AbortController();
    pair.host.beforeCommit = (key) => {
      if (key === keyOf('a 1')) giveUp.abort();
    };
    const offer = own.offer(blocksOf('a', 16));
    await expect(client.push(pair.target('unix'), ...offer, giveUp.signal)).rejects.toThrow(Cancelled);
    await until(() => own.pinned === 0 && client.links()[0]?.requestsInFlight === 0);
    await until(() => pair.host.admitted.size === 0);
    const later = await client.push(pair.target('unix'), ...own.offer(blocksOf('b', 1)), NEVER);
    expect(later).toEqual(new Set([keyOf('b 0')]));
    expect(pair.server.connections).toBe(1);
  });

  it('releases its blocks if the peer cannot be reached', async () => {
    pair = await Pair.open();
    await pair.server.close();
    const own = new MemoryHost();
    const offer = own.offer(blocksOf('a', 40));
    await expect(pair.client().push(pair.target('unix'), ...offer, NEVER)).rejects.toThrow(Unavailable);
    expect(own.pinned).toBe(0);
  });

  it('that is broken off gives the memory back on both sides', async () => {
    pair = await Pair.open();
    const client = pair.client();
    const own = new MemoryHost();
    pair.host.beforeCommit = (key) => {
      if (key === keyOf('a 4')) client.close();
    };
    const offer = own.offer(blocksOf('a', 16));
    await expect(client.push(pair.target('unix'), ...offer, NEVER)).rejects.toThrow(Unavailable);
    expect(own.pinned).toBe(0);
    await until(() => pair.server.connections === 0 && pair.host.admitted.size === 0);
  });
});

describe('a link', () => {
  it('answers pings', async () => {
    pair = await Pair.open();
    expect(await pair.client().ping(pair.target('unix'), 5_000)).toBeGreaterThanOrEqual(0);
  });

  it('is shared, and can be seen', async () => {
    pair = await Pair.open();
    const client = pair.client();
    await Promise.all([client.ping(pair.target('unix'), 5_000), client.ping(pair.target('unix'), 5_000)]);
    const endpoint = pair.addresses.unixPath;
    expect(client.links()).toEqual([{ id: 'bob', incarnation: '0001', endpoint, state: 'open', requestsInFlight: 0 }]);
    expect(pair.server.connections).toBe(1);
  });

  it('uses TCP to another host, and fails without an address', async () => {
    pair = await Pair.open();
    const client = pair.client();
    await client.ping(pair.target('tcp'), 5_000);
    expect(client.links()[0]!.endpoint).toBe(`127.0.0.1:${pair.addresses.tcpPort}`);
    const nowhere = { hostId: 'there', unixPath: pair.addresses.unixPath, tcpHost: null, tcpPort: null };
    await expect(client.ping({ ...BOB, generation: 0, id: 'carol', address: nowhere }, 5_000)).rejects.toThrow(
      Unavailable,
    );
  });

  it('uses TCP on the same host if the Unix socket cannot be opened', async () => {
    pair = await Pair.open();
    const client = pair.client();
    const { address } = pair.target('unix');
    const unreachable = { ...address, unixPath: `${address.unixPath}.of-another` };
    await client.ping({ ...BOB, generation: 0, address: unreachable }, 5_000);
    expect(client.links()[0]!.endpoint).toBe(`127.0.0.1:${pair.addresses.tcpPort}`);
  });

  it('is refused with another secret', async () => {
    const observer = new NotingObserver();
    pair = await Pair.open({ observer });
    const refused = observer.failed('refused');
    await expect(pair.client({ secret: 'a guess' }).ping(pair.target('unix'), 5_000)).rejects.toThrow(Refused);
    await refused;
    expect(await pair.client().ping(pair.target('unix'), 5_000)).toBeGreaterThanOrEqual(0);
  });

  it('is refused with another fingerprint, and both are named', async () => {
    pair = await Pair.open();
    const client = pair.client({ identity: { ...ALICE, fingerprint: 'e'.repeat(64) } });
    await expect(client.ping(pair.target('unix'), 5_000)).rejects.toThrow(/e{64}.*f{64}/s);
    await expect(client.ping(pair.target('unix'), 5_000)).rejects.toThrow(Refused);
  });

  it.each([
    ['worker', { id: 'carol', incarnation: '0001' }],
    ['incarnation', { id: 'bob', incarnation: '0002' }],
  ])('to another %s than answers is refused', async (_, meant) => {
    pair = await Pair.open();
    await expect(pair.client().ping(pair.target('unix', meant), 5_000)).rejects.toThrow(Refused);
  });

  it('gives way to one with a newer incarnation, and not to an older one', async () => {
    pair = await Pair.open({ identity: { ...BOB, incarnation: '0002' } });
    const client = pair.client();
    const at = (incarnation: string) => pair.target('unix', { id: 'bob', incarnation });
    await expect(client.ping(at('0001'), 5_000)).rejects.toThrow(Refused);
    await client.ping(at('0002'), 5_000);
    await expect(client.ping(at('0001'), 5_000)).rejects.toThrow('it is in incarnation 0002 now');
    await client.ping(at('0002'), 5_000);
  });

  it('that its owner closes counts as lost on the other side only', async () => {
    pair = await Pair.open();
    const client = pair.client();
    const lost: string[] = [];
    client.onLinkClosed((id) => lost.push(id));
    pair.server.onLinkClosed((id) => lost.push(id));
    await client.ping(pair.target('unix'), 5_000);
    client.close();
    await until(() => pair.server.connections === 0);
    expect(lost).toEqual(['alice']);
    await expect(client.ping(pair.target('unix'), 5_000)).rejects.toThrow(Unavailable);
  });
});

describe('one link in a storm of fetches, pushes and changes of mind', () => {
  it.each([1, 2, 3])('loses no memory, mixes no bytes up and stays in step (seed %i)', async (seed) => {
    const random = new SeededRandom(seed);
    pair = await Pair.open();
    const client = pair.client();
    const own = new MemoryHost();
    const stored = Array.from({ length: 6 }, (_, i) => blocksOf(`stored ${i}`, 6));
    for (const blocks of stored) pair.host.add(blocks.slice(0, 1 + random.below(6)));

    const aborting = (sink: MemorySink | null) => {
      const giveUp = new AbortController();
      if (random.below(3) === 0) {
        const at = random.below(6);
        if (sink && random.below(2) === 0) sink.onPlace = ({ index }) => index === at && giveUp.abort();
        else setImmediate(() => giveUp.abort());
      }
      return giveUp.signal;
    };
    const fetch = async () => {
      const blocks = stored[random.below(stored.length)]!;
      const sink = new MemorySink();
      const wanted = random.below(2);
      sink.wants = ({ index }) => wanted === 0 || index % 2 === 0;
      await client.fetch(pair.target('unix'), keysOf(blocks), sink, aborting(sink)).catch((error) => {
        expect(error).toBeInstanceOf(Cancelled);
      });
      expect(sink.open.size).toBe(0);
      const came = new Set(sink.arrived);
      expectBytes(
        sink,
        blocks.filter(({ block }) => came.has(block.key)),
      );
    };
    const push = async (name: string) => {
      const offer = own.offer(blocksOf(name, 1 + random.below(4)));
      await client.push(pair.target('unix'), ...offer, aborting(null)).catch((error) => {
        expect(error).toBeInstanceOf(Cancelled);
      });
    };
    for (let wave = 0; wave < 8; wave++) {
      await Promise.all(Array.from({ length: 20 }, (_, i) => (random.below(3) === 0 ? push(`${wave} ${i}`) : fetch())));
    }
    await client.ping(pair.target('unix'), 5_000);
    await until(() => own.pinned === 0 && pair.host.pinned === 0 && pair.host.admitted.size === 0);
    await until(() => client.links()[0]?.requestsInFlight === 0);
    for (const { block, bytes } of pair.host.blocks.values()) expect(digestOf(bytes)).toBe(block.digest);
    expect(pair.server.connections).toBe(1);
  });
});

describe('listening', () => {
  it('refuses a path that is too long', async () => {
    pair = await Pair.open();
    await expect(pair.server.listen({ unixPath: `/tmp/${'x'.repeat(110)}` })).rejects.toThrow(InvalidRequest);
  });

  it('gives no other user access to its Unix socket, and removes it at the end', async () => {
    pair = await Pair.open();
    const path = pair.addresses.unixPath!;
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await pair.server.close();
    expect(existsSync(path)).toBe(false);
  });

  it('replaces the socket of a dead process, but no other file', async () => {
    pair = await Pair.open();
    const left = `${pair.addresses.unixPath}.left`;
    const dying = `require('net').createServer().listen(${JSON.stringify(left)}, () => process.kill(process.pid, 9))`;
    spawnSync(process.execPath, ['-e', dying]);
    expect((await stat(left)).isSocket()).toBe(true);
    await pair.server.listen({ unixPath: left });
    const file = `${pair.addresses.unixPath}.txt`;
    await writeFile(file, 'kept');
    await expect(pair.server.listen({ unixPath: file })).rejects.toThrow(InvalidRequest);
    expect(await readFile(file, 'utf8')).toBe('kept');
  });

  it('refuses the socket of another worker or program, and names the worker', async () => {
    pair = await Pair.open();
    const path = pair.addresses.unixPath!;
    await expect(pair.server.listen({ unixPath: path })).rejects.toThrow(Refused);
    const named = `cannot listen on ${path}: worker ${BOB.id} (process ${process.pid}) has this socket`;
    await expect(pair.server.listen({ unixPath: path })).rejects.toThrow(named);
    const other = net.createServer().listen(`${path}.other`);
    await once(other, 'listening');
    await expect(pair.server.listen({ unixPath: `${path}.other` })).rejects.toThrow('another process has this socket');
    other.close();
    await pair.server.close();
    expect(readdirSync(dirname(path))).toEqual([]);
  });

  it('names the address that is not available', async () => {
    pair = await Pair.open();
    const { tcpHost, tcpPort } = pair.addresses;
    await expect(pair.server.listen({ tcpHost, tcpPort })).rejects.toThrow(`127.0.0.1:${tcpPort}`);
  });

  it('ends without memory that is pinned or reserved', async () => {
    pair = await Pair.open();
    const client = pair.client();
    pair.host.add(blocksOf('a', 30));
    const own = new MemoryHost();
    const sink = new MemorySink();
    const closed = new Promise<void>((resolve) => {
      sink.onPlace = ({ index }) => {
        if (index === 5) void pair.server.close().then(resolve);
      };
    });
    const fetch = client.fetch(pair.target('unix'), keysOf(blocksOf('a', 30)), sink, NEVER);
    const offer = own.offer(blocksOf('b', 16));
    const push = client.push(pair.target('unix'), ...offer, NEVER);
    await Promise.allSettled([fetch, push]);
    await closed;
    expect(pair.host.pinned).toBe(0);
    expect(pair.host.admitted.size).toBe(0);
    expect(own.pinned).toBe(0);
    expect(sink.open.size).toBe(0);
  });
});
