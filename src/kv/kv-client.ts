import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type Clock, SystemClock } from '../clock.js';
import { Corrupt, Unavailable } from '../errors.js';
import type { KVEncoding } from './encoding/tensor-encoding.js';
import { packLayer, unpackLayer } from './kv-layer.js';
import type { KVLayer } from './kv-tensor.js';
import { ObjectApi } from './object-api.js';
import { beginningsOf, type KVPrefix, prefixHash, prefixSimilarity } from './prefix-hash.js';

/** K/V of prompt prefixes in a fleet, for programs of any kind: layers under a prefix, over HTTP (`/v1/kv`, docs/KV.md). */

export interface KVClientOptions {
  /** All that the bytes depend on beside the prefix: the model, its revision, the dtype, the adapter, the rank. */
  readonly model: string;
  /** A key of the fleet's HTTP API, where keys are in use. */
  readonly apiKey?: string;
  /** How layers are stored. Default: as they are. Layers are read in whatever way they were stored. */
  readonly encoding?: KVEncoding;
  /** Limit on the bytes of a layer that is read, once it is decoded. Default: 1 GiB. */
  readonly layerBytes?: number;
  /** Seconds until a layer expires. Default: never. */
  readonly ttlS?: number;
  /** Seconds for which a client that computes a layer keeps others from it. Default: 30. */
  readonly leaseS?: number;
  /** Seconds for one request to the fleet, its answer included. After that the fleet counts as out of reach. Default: 30. */
  readonly requestS?: number;
  /** Default: that of the machine. */
  readonly clock?: Clock;
}

/** What this client has done so far. */
export interface KVClientStats {
  readonly hits: number;
  readonly misses: number;
  /** Hits of all reads; 0 before the first one. */
  readonly hitRate: number;
  readonly puts: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

const LEASE_S = 30;
const REQUEST_S = 30;
const LAYER_BYTES = 2 ** 30;
/** Pauses between two looks for a layer that another client computes: the first, and the longest. Each is twice the last. */
const POLL_MS = 25;
const POLL_CEILING_MS = 400;

/** Layers of one call on their way at a time. */
const AT_ONCE = 4;
/** Keys in one question which of them exist. */
const ASKED_KEYS = 1_000;
const Existing = z.object({ data: z.array(z.object({ exists: z.boolean() })) });

/** A lease that this client has; its bytes, and so its ETag, are its own. */
interface HeldLease {
  readonly etag: string;
}

export class KVClient {
  private readonly clock: Clock;
  private readonly api: ObjectApi;
  private readonly computing = new Map<string, Promise<KVLayer>>();
  private readonly counts = { hits: 0, misses: 0, puts: 0, bytesRead: 0, bytesWritten: 0 };

  /** @param url a coordinator, such as `http://127.0.0.1:8080`; nothing is sent yet */
  constructor(
    private readonly url: string,
    private readonly options: KVClientOptions,
  ) {
    this.clock = options.clock ?? new SystemClock();
    const { apiKey = null, requestS = REQUEST_S } = options;
    this.api = new ObjectApi({ url, apiKey, requestS, clock: this.clock });
  }

  stats(): KVClientStats {
    const { hits, misses } = this.counts;
    return { ...this.counts, hitRate: hits + misses === 0 ? 0 : hits / (hits + misses) };
  }

  /** Stores a layer, in place of an older one. Rejects with `Overloaded` if there is no room, `Refused` without the right key, else `Unavailable`. */
  async put(prefix: KVPrefix, layer: number, value: KVLayer): Promise<void> {
    await this.store(this.keyOf(prefix, layer), value);
  }

  /** A layer; null if it is not there. Rejects as `put` does, and with `Corrupt` if the object is none. */
  get(prefix: KVPrefix, layer: number): Promise<KVLayer | null> {
    return this.load(this.keyOf(prefix, layer));
  }

  async has(prefix: KVPrefix, layer: number): Promise<boolean> {
    const path = at(this.keyOf(prefix, layer));
    return (await this.api.send({ method: 'HEAD', path, expected: [404] })).status !== 404;
  }

  /** Deletes a layer. False if it was not there. */
  async delete(prefix: KVPrefix, layer: number): Promise<boolean> {
    const path = at(this.keyOf(prefix, layer));
    return (await this.api.send({ method: 'DELETE', path, expected: [404] })).status !== 404;
  }

  /** Stores layers as they come, several at a time: `layers` may still be computed. Rejects as `put` does. */
  async putLayers(prefix: KVPrefix, layers: AsyncIterable<KVLayer> | Iterable<KVLayer>): Promise<void> {
    const running = new Set<Promise<void>>();
    const failures: unknown[] = [];
    let layer = 0;
    for await (const value of layers) {
      const stored: Promise<void> = this.put(prefix, layer++, value)
        .catch((error: unknown) => void failures.push(error))
        .finally(() => running.delete(stored));
      running.add(stored);
      if (running.size >= AT_ONCE) await Promise.race(running);
      if (failures.length > 0) break;
    }
    await Promise.all(running);
    if (failures.length > 0) throw failures[0];
  }

  /**
   * The layers `0` to `count - 1` in order, each as soon as it is here, while the next ones come. Ends before the first layer that is not there.
   * Rejects as `get` does.
   */
  async *getLayers(prefix: KVPrefix, count: number): AsyncGenerator<KVLayer> {
    const coming: Promise<KVLayer | null>[] = [];
    for (let layer = 0; layer < count; layer++) {
      while (coming.length < AT_ONCE && layer + coming.length < count) {
        const next = this.get(prefix, layer + coming.length);
        // A reader that leaves earlier does not wait for it.
        next.catch(() => {});
        coming.push(next);
      }
      const value = await coming.shift()!;
      if (value === null) return;
      yield value;
    }
  }

  /**
   * How many of the first tokens of a prompt have K/V in the fleet, by the layer `layer`; 0 for none. It looks for the prefixes whose lengths are
   * multiples of 64, and for the whole prompt. Rejects as `get` does.
   */
  async longestPrefix(tokens: readonly number[], layer = 0): Promise<number> {
    const beginnings = beginningsOf(tokens);
    for (let end = beginnings.length; end > 0; end -= ASKED_KEYS) {
      const asked = beginnings.slice(Math.max(0, end - ASKED_KEYS), end);
      const keys = asked.map(({ hash }) => this.keyOfHash(hash, layer));
      const body = [Buffer.from(JSON.stringify({ keys }))];
      const headers = { 'content-type': 'application/json' };
      const answer = await this.api.send({ method: 'POST', path: '/exists', headers, body });
      const { data } = Existing.parse(await answer.json());
      const found = asked.findLast((_, index) => data[index]?.exists);
      if (found !== undefined) return found.tokens;
    }
    return 0;
  }

  /** How much of the longer of two prefixes their common beginning is, from 0 to 1. Asks nobody. */
  similarity(a: KVPrefix, b: KVPrefix): number {
    return prefixSimilarity(a, b);
  }

  /**
   * A layer from the fleet, or from `compute`, which one client at a time runs for it, over the whole fleet. If the fleet cannot be reached, the
   * layer is computed all the same. Rejects as `compute` does.
   */
  getOrCompute(prefix: KVPrefix, layer: number, compute: () => Promise<KVLayer>): Promise<KVLayer> {
    const key = this.keyOf(prefix, layer);
    const running = this.computing.get(key);
    if (running !== undefined) return running;
    const result = this.loadOrCompute(key, compute).finally(() => this.computing.delete(key));
    this.computing.set(key, result);
    return result;
  }

  /** Writes and reads an object. Gives the milliseconds that took. Rejects as `put` does. */
  async health(): Promise<{ readonly roundTripMs: number }> {
    const startedMs = this.clock.now();
    const key = `health/${randomUUID()}`;
    await this.api.send({ method: 'PUT', path: at(key), headers: { 'x-shoal-ttl': '60' }, body: [Buffer.from(key)] });
    const read = await this.api.send({ method: 'GET', path: at(key) });
    if ((await read.text()) !== key) throw new Unavailable(`${this.url} gives other bytes than were written`);
    await this.api.send({ method: 'DELETE', path: at(key), expected: [404] });
    return { roundTripMs: this.clock.now() - startedMs };
  }

  private async loadOrCompute(key: string, compute: () => Promise<KVLayer>): Promise<KVLayer> {
    for (let pauseMs = POLL_MS; ; pauseMs = Math.min(2 * pauseMs, POLL_CEILING_MS)) {
      // What is no layer is computed again, and replaced.
      const found = await this.load(key).catch((error) => (error instanceof Corrupt ? null : ('unreachable' as const)));
      if (found === 'unreachable') return compute();
      if (found !== null) return found;
      const lease = await this.lease(key);
      if (lease !== 'taken') return this.compute(key, compute, lease);
      await new Promise<void>((resolve) => this.clock.after(pauseMs, resolve));
    }
  }

  /** Computes a layer, and stores it if that can be done. */
  private async compute(
    key: string,
    compute: () => Promise<KVLayer>,
    lease: HeldLease | 'unreachable',
  ): Promise<KVLayer> {
    try {
      // The client that had the lease before may have stored the layer since this one looked for it.
      const stored = lease === 'unreachable' ? null : await this.load(key).catch(() => null);
      if (stored !== null) return stored;
      const value = await compute();
      if (lease !== 'unreachable') await this.store(key, value).catch(() => {});
      return value;
    } finally {
      if (lease !== 'unreachable') await this.endLease(key, lease);
    }
  }

  private async lease(key: string): Promise<HeldLease | 'taken' | 'unreachable'> {
    const headers = { 'if-none-match': '*', 'x-shoal-ttl': String(this.options.leaseS ?? LEASE_S) };
    try {
      const body = [Buffer.from(randomUUID())];
      const path = at(leaseOf(key));
      const call = { method: 'PUT', path, headers, body, expected: [412], attempts: 'once' } as const;
      const { status, headers: answered } = await this.api.send(call);
      return status === 412 ? 'taken' : { etag: answered.get('etag') ?? '' };
    } catch {
      return 'unreachable';
    }
  }

  /** Ends this client's lease, and not that of another one that took it after this one had expired. */
  private async endLease(key: string, { etag }: HeldLease): Promise<void> {
    const call = { method: 'DELETE', path: at(leaseOf(key)), headers: { 'if-match': etag } } as const;
    await this.api.send({ ...call, expected: [404, 412] }).catch(() => {});
  }

  private async store(key: string, value: KVLayer): Promise<void> {
    const { ttlS } = this.options;
    const pieces = await packLayer(value, this.options.encoding ?? {});
    const headers: Record<string, string> = ttlS === undefined ? {} : { 'x-shoal-ttl': String(ttlS) };
    await this.api.send({ method: 'PUT', path: at(key), headers, body: pieces });
    this.counts.puts++;
    this.counts.bytesWritten += pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  private async load(key: string): Promise<KVLayer | null> {
    const response = await this.api.send({ method: 'GET', path: at(key), expected: [404] });
    if (response.status === 404) {
      this.counts.misses++;
      return null;
    }
    const body = await response.arrayBuffer().catch((cause: unknown) => {
      throw new Unavailable(`${this.url} broke off in the middle of a layer; retry`, { cause });
    });
    const bytes = Buffer.from(body);
    this.counts.hits++;
    this.counts.bytesRead += bytes.byteLength;
    return unpackLayer(bytes, this.options.layerBytes ?? LAYER_BYTES);
  }

  private keyOf(prefix: KVPrefix, layer: number): string {
    return this.keyOfHash(prefixHash(prefix), layer);
  }

  private keyOfHash(hash: string, layer: number): string {
    return `layer/${encodeURIComponent(this.options.model)}/${hash}/${layer}`;
  }
}

function at(key: string): string {
  return `/${encodeURIComponent(key)}`;
}

function leaseOf(key: string): string {
  return `${key}/lease`;
}
