import { afterEach, describe, expect, it } from 'vitest';
import { Cancelled, InternalError, Unavailable } from '../../../src/errors.js';
import { blocksOf, MemoryHost } from './support/host.js';
import { Pair } from './support/pair.js';
import { until } from './support/until.js';

/** Comparisons of summaries between peers, and repairs. */

const NEVER = new AbortController().signal;
const SUMMARY = { epoch: 'e', digests: Uint8Array.from({ length: 16 }, (_, i) => i) };

let pair: Pair;
afterEach(() => pair.close());

describe('a comparison', () => {
  it("tells the server the client's identity and summary, and the client the differences", async () => {
    const asked: unknown[] = [];
    pair = await Pair.open({
      comparer: async (peer, { epoch, digests }) => {
        asked.push([peer, epoch, [...digests]]);
        return [1];
      },
    });
    expect(await pair.client().compare(pair.target('unix'), SUMMARY, NEVER)).toEqual([1]);
    expect(asked).toEqual([['alice', 'e', [...SUMMARY.digests]]]);
  });

  it('has no result if the server is busy or has no comparer', async () => {
    pair = await Pair.open({ comparer: async () => null });
    expect(await pair.client().compare(pair.target('unix'), SUMMARY, NEVER)).toBeNull();
    await pair.close();
    pair = await Pair.open();
    expect(await pair.client().compare(pair.target('unix'), SUMMARY, NEVER)).toBeNull();
  });

  it('rejects with the error of the server, and the link stays open', async () => {
    pair = await Pair.open({
      comparer: async () => {
        throw new InternalError('the store is broken');
      },
    });
    const client = pair.client();
    await expect(client.compare(pair.target('unix'), SUMMARY, NEVER)).rejects.toThrow('the store is broken');
    await client.ping(pair.target('unix'), 5_000);
  });

  it('that is given up leaves the link in step, whenever its answer comes', async () => {
    let answer: (differing: number[]) => void = () => {};
    pair = await Pair.open({ comparer: () => new Promise((resolve) => (answer = resolve)) });
    const client = pair.client();
    const giveUp = new AbortController();
    const compared = client.compare(pair.target('unix'), SUMMARY, giveUp.signal);
    await client.ping(pair.target('unix'), 5_000);
    giveUp.abort(new Cancelled('the worker is reset'));
    await expect(compared).rejects.toThrow(Cancelled);
    await until(() => client.links()[0]!.requestsInFlight === 0);
    answer([0]);
    await client.ping(pair.target('unix'), 5_000);
  });

  it('rejects when the server goes', async () => {
    pair = await Pair.open({ comparer: () => new Promise(() => {}) });
    const client = pair.client();
    const compared = client.compare(pair.target('unix'), SUMMARY, NEVER);
    const failed = expect(compared).rejects.toThrow(Unavailable);
    await client.ping(pair.target('unix'), 5_000);
    await pair.server.close();
    await failed;
  });
});

describe('a repair', () => {
  it('asks for memory that no other block has to leave, unlike other pushes', async () => {
    pair = await Pair.open();
    const client = pair.client();
    const own = new MemoryHost();
    const [first, second] = [blocksOf('a', 2), blocksOf('b', 2)];
    expect((await client.push(pair.target('unix'), ...own.offer(first), NEVER, 'repair')).size).toBe(2);
    expect((await client.push(pair.target('unix'), ...own.offer(second), NEVER)).size).toBe(2);
    expect(pair.host.asked).toEqual(['spare', 'spare', 'evict', 'evict']);
    expect(pair.host.blocks.size).toBe(4);
  });
});
