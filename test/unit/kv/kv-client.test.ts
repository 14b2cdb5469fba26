import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HttpServer } from '../../../coordinator/http/server.js';
import { SimulatedClock } from '../../../src/clock.js';
import { Corrupt, InvalidRequest, Overloaded, Refused, Unavailable } from '../../../src/errors.js';
import { KVClient } from '../../../src/kv/kv-client.js';
import type { KVClientOptions } from '../../../src/kv/kv-client-options.js';
import type { KVLayer } from '../../../src/kv/kv-tensor.js';
import { until } from '../peer/support/until.js';
import { RespStation } from '../resp/support/resp-station.js';
import { kvServer } from './support.js';

/** The client on a real server, over the objects of one worker. */

const MiB = 2 ** 20;

function layerOf(byte: number, bytes = 1_000): KVLayer {
  const tensor = (fill: number) => ({
    dtype: 'float16',
    shape: [1, 2, bytes / 4, 1],
    bytes: Buffer.alloc(bytes, fill),
  });
  return { k: tensor(byte), v: tensor(byte + 1) };
}

/** As plain data, so that views and buffers compare by their bytes. */
const plain = (layer: KVLayer | null) =>
  layer && [layer.k, layer.v].map((each) => ({ ...each, bytes: Buffer.from(each.bytes).toString('hex') }));

describe('a client for K/V', () => {
  let station: RespStation;
  let server: HttpServer;

  const open = async (apiKeys: string[] = []) => {
    server = await kvServer(station, apiKeys);
  };
  const client = (options: Partial<KVClientOptions> = {}) => new KVClient(server.url, { model: 'm', ...options });

  beforeEach(async () => {
    station = await RespStation.open();
  });

  afterEach(async () => {
    await server.close();
    await station.close();
  });

  it('keeps layers of prefixes apart, by model, prefix and number', async () => {
    await open();
    const kv = client();
    await kv.put('a prompt', 0, layerOf(1, 3 * MiB));
    await kv.put([1, 2, 3], 0, layerOf(3));
    await kv.put('a prompt', 1, layerOf(5));
    expect(plain(await kv.get('a prompt', 0))).toEqual(plain(layerOf(1, 3 * MiB)));
    expect(plain(await kv.get([1, 2, 3], 0))).toEqual(plain(layerOf(3)));
    expect(plain(await kv.get('a prompt', 1))).toEqual(plain(layerOf(5)));
    expect(await kv.get('[1,2,3]', 0)).toBeNull();
    const key = 'ab'.repeat(32);
    await kv.put({ key }, 0, layerOf(7));
    expect(plain(await kv.get({ key }, 0))).toEqual(plain(layerOf(7)));
    expect(await kv.has(key, 0)).toBe(false);
    await kv.delete({ key }, 0);
    expect(await client({ model: 'other' }).has('a prompt', 0)).toBe(false);
    expect([await kv.has('a prompt', 1), await kv.delete('a prompt', 1)]).toEqual([true, true]);
    expect([await kv.has('a prompt', 1), await kv.delete('a prompt', 1)]).toEqual([false, false]);
    const fleet = { objects: 2, budgetBytes: station.objects.store.budgetBytes, evicted: 0 };
    expect(await kv.stats()).toMatchObject({ hits: 4, misses: 1, hitRate: 0.8, puts: 4, fleet });
  });

  it('computes a layer once for many that want it, in one process and in several', async () => {
    await open();
    const clients = Array.from({ length: 6 }, () => client());
    let computed = 0;
    const compute = async () => {
      computed++;
      // The others look for it meanwhile.
      await clients[0]!.health();
      return layerOf(7);
    };
    const wanted = clients.flatMap((kv) => [kv.getOrCompute('p', 0, compute), kv.getOrCompute('p', 0, compute)]);
    for (const layer of await Promise.all(wanted)) expect(plain(layer)).toEqual(plain(layerOf(7)));
    expect(computed).toBe(1);
  });

  it('lets another client compute a layer whose computation failed', async () => {
    await open();
    const failing = async () => {
      throw new Error('no GPU');
    };
    await expect(client().getOrCompute('p', 0, failing)).rejects.toThrow('no GPU');
    expect(plain(await client().getOrCompute('p', 0, async () => layerOf(1)))).toEqual(plain(layerOf(1)));
    expect(await client().has('p', 0)).toBe(true);
  });

  it('computes without a fleet, and says why other calls fail', async () => {
    await open(['the-right-key']);
    await expect(client({ apiKey: 'a-wrong-key' }).get('p', 0)).rejects.toThrow(Refused);
    await client({ apiKey: 'the-right-key' }).put('p', 0, layerOf(1));
    const nowhere = new KVClient('http://127.0.0.1:1', { model: 'm' });
    await expect(nowhere.get('p', 0)).rejects.toThrow(Unavailable);
    expect(plain(await nowhere.getOrCompute('p', 0, async () => layerOf(9)))).toEqual(plain(layerOf(9)));
  });

  it('computes when the fleet does not answer in time', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const kv = new KVClient(`http://127.0.0.1:${port}`, { model: 'm', requestS: 0.05 });
    await expect(kv.get('p', 0)).rejects.toThrow(Unavailable);
    expect(plain(await kv.getOrCompute('p', 0, async () => layerOf(9)))).toEqual(plain(layerOf(9)));
    silent.closeAllConnections();
    silent.close();
  });

  it('leaves the lease of another client alone, which took it after its own had expired', async () => {
    await open();
    const leases = () => [...station.objects.store.all()].filter(({ name }) => name.key.toString().endsWith('/lease'));
    const compute = async () => {
      const url = `${server.url}/v1/kv/${encodeURIComponent(leases()[0]!.name.key.toString())}`;
      await fetch(url, { method: 'PUT', body: 'of another client' });
      return layerOf(3);
    };
    await client().getOrCompute('p', 0, compute);
    expect(leases()).toHaveLength(1);
  });

  it('stores and gives layers one after another, and gives the first ones before the last ones are there', async () => {
    await open();
    const kv = client();
    let given = 0;
    const layers = async function* () {
      for (; given < 10; given++) yield layerOf(given);
    };
    await kv.putLayers('p', layers());
    const numbers: unknown[] = [];
    for await (const layer of kv.getLayers('p', 10)) numbers.push(plain(layer));
    expect(numbers).toEqual(Array.from({ length: 10 }, (_, at) => plain(layerOf(at))));
    await kv.delete('p', 6);
    let read = 0;
    for await (const _ of kv.getLayers('p', 10)) read++;
    expect(read).toBe(6);
    const broken = [layerOf(0), { ...layerOf(1), k: { ...layerOf(1).k, dtype: '' } }, layerOf(2)];
    await expect(kv.putLayers('q', broken)).rejects.toThrow(InvalidRequest);
  });

  it('finds the longest beginning of a prompt that has K/V, and says how alike two prefixes are', async () => {
    await open();
    const kv = client();
    const tokens = Array.from({ length: 300 }, (_, at) => at * 7);
    expect(await kv.longestPrefix(tokens)).toBe(0);
    await kv.put(tokens.slice(0, 64), 0, layerOf(1));
    await kv.put(tokens.slice(0, 192), 0, layerOf(2));
    expect(await kv.longestPrefix(tokens)).toBe(192);
    expect(await kv.longestPrefix([...tokens.slice(0, 100), 1, 2])).toBe(64);
    expect(await kv.longestPrefix(tokens, 1)).toBe(0);
    await kv.put(tokens, 0, layerOf(3));
    expect(await kv.longestPrefix(tokens)).toBe(300);
    expect(await kv.longestPrefix([])).toBe(0);
    expect(kv.similarity([1, 2, 3, 4], [1, 2, 9])).toBe(0.5);
    expect([kv.similarity({ key: 'a' }, { key: 'a' }), kv.similarity({ key: 'a' }, { key: 'b' })]).toEqual([1, 0]);
    expect([kv.similarity('', ''), kv.similarity('abc', [1]), kv.similarity('abcd', 'ab')]).toEqual([1, 0, 0.5]);
  });

  it('tells whether the fleet answers, how long a write and a read take, and what it keeps', async () => {
    await open();
    const kv = client();
    await kv.put('p', 0, layerOf(1, MiB));
    const health = await kv.health();
    const memory = { objects: 1, budgetBytes: station.objects.store.budgetBytes, evicted: 0 };
    expect(health).toMatchObject({ connected: true, roundTripMs: expect.any(Number), memory });
    expect(health.connected && health.memory.bytes).toBeGreaterThan(2 * MiB);
    const nowhere = new KVClient('http://127.0.0.1:1', { model: 'm' });
    expect(await nowhere.health()).toEqual({ connected: false, error: expect.stringMatching(/cannot reach/) });
    expect((await nowhere.stats()).fleet).toBeNull();
    await expect(KVClient.connect('http://127.0.0.1:1', { model: 'm' })).rejects.toThrow(Unavailable);
    const connected = await KVClient.connect(server.url, { model: 'm' });
    expect(await connected.has('p', 0)).toBe(true);
  });

  it('reads layers that it has prefetched from its own memory, each once', async () => {
    await open();
    const kv = client();
    await kv.putLayers('p', [layerOf(0), layerOf(1), layerOf(2)]);
    expect(await kv.prefetch('p', 5)).toBe(3);
    await client().delete('p', 1);
    expect(plain(await kv.get('p', 1))).toEqual(plain(layerOf(1)));
    expect(await kv.get('p', 1)).toBeNull();
    await kv.put('p', 2, layerOf(9));
    expect(plain(await kv.get('p', 2))).toEqual(plain(layerOf(9)));
    await kv.delete('p', 0);
    expect(await kv.get('p', 0)).toBeNull();
    expect((await kv.stats()).local).toEqual({ layers: 0, pinned: 0, bytes: 0 });
    const small = client({ localBytes: 3_000 });
    await kv.putLayers('q', [layerOf(0), layerOf(1)]);
    expect(await small.prefetch('q', 2)).toBe(2);
    expect((await small.stats()).local).toEqual({ layers: 1, pinned: 0, bytes: 2_000 });
  });

  it('keeps pinned layers, and stores them again when the fleet has lost them', async () => {
    await open();
    const clock = new SimulatedClock();
    const kv = client({ clock, localBytes: 5_000 });
    await kv.putLayers('p', [layerOf(0), layerOf(1)]);
    expect(await kv.pin('p', 2)).toBe(2);
    await kv.putLayers('q', [layerOf(5)]);
    await expect(kv.pin('q', 1)).rejects.toThrow(Overloaded);
    await client().delete('p', 1);
    expect(plain(await kv.get('p', 1))).toEqual(plain(layerOf(1)));
    const there = station.objects.store;
    await clock.advance(10_000);
    await until(() => there.objects === 3);
    expect(plain(await client().get('p', 1))).toEqual(plain(layerOf(1)));
    kv.unpin('p', 1);
    expect((await kv.stats()).local).toMatchObject({ layers: 1, pinned: 1 });
    kv.close();
    expect((await kv.stats()).local).toMatchObject({ layers: 0, pinned: 0 });
  });

  it('takes no other object for a layer, and replaces it by the computed one', async () => {
    await open();
    const kv = client();
    await kv.put('p', 0, layerOf(1));
    const [object] = [...station.objects.store.all()];
    const url = `${server.url}/v1/kv/${encodeURIComponent(object!.name.key.toString())}`;
    await fetch(url, { method: 'PUT', body: 'something else' });
    await expect(kv.get('p', 0)).rejects.toThrow(Corrupt);
    expect(plain(await kv.getOrCompute('p', 0, async () => layerOf(2)))).toEqual(plain(layerOf(2)));
    expect(plain(await kv.get('p', 0))).toEqual(plain(layerOf(2)));
    const nameless = { ...layerOf(1), k: { ...layerOf(1).k, dtype: '' } };
    await expect(kv.put('p', 0, nameless)).rejects.toThrow(InvalidRequest);
  });
});
