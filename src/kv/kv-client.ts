import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type Clock, SystemClock, type Timer } from '../clock.js';
import { Corrupt, Overloaded, Unavailable } from '../errors.js';
import { EngineKV } from './engine-kv.js';
import type { KVClientOptions } from './kv-client-options.js';
import { type KVClientStats, type KVHealth, type KVMemory, MemoryAnswer } from './kv-client-report.js';
import { packLayer, unpackLayer } from './kv-layer.js';
import type { KVLayer } from './kv-tensor.js';
import { LocalLayers } from './local-layers.js';
import { ObjectApi } from './object-api.js';
import { beginningsOf, type KVPrefix, prefixHash, prefixSimilarity } from './prefix-hash.js';
import { copyShared, type OpenShared, SharedLayers } from './shared-layers.js';

/** K/V of prompt prefixes in a fleet, for programs of any kind: layers under a prefix, over HTTP (`/v1/kv`, docs/KV.md). */

const LEASE_S = 30;
const REQUEST_S = 30;
const LAYER_BYTES = 2 ** 30;
const LOCAL_BYTES = 256 * 2 ** 20;
/** Between two looks whether the fleet still has the pinned layers. */
const PIN_CHECK_MS = 10_000;
/** Pauses between two looks for a layer that another client computes: the first, and the longest. Each is twice the last. */
const POLL_MS = 25;
const POLL_CEILING_MS = 400;

/** Limit on the layers of one call in transit. */
const AT_ONCE = 4;
/** Keys in one question which of them exist. */
const ASKED_KEYS = 1_000;
const Existing = z.object({ data: z.array(z.object({ exists: z.boolean() })) });

/** A lease that this client has; its bytes, and so its ETag, are its own. */
interface HeldLease {
  readonly etag: string;
}

export class KVClient {
  /** The K/V that the fleet's own engine computed. */
  readonly engine: EngineKV;
  private readonly clock: Clock;
  private readonly api: ObjectApi;
  private readonly computing = new Map<string, Promise<KVLayer>>();
  private readonly local: LocalLayers;
  private readonly shared: SharedLayers;
  private pinTimer: Timer | null = null;
  private readonly counts = { hits: 0, misses: 0, puts: 0, bytesRead: 0, bytesWritten: 0 };

  /** @param url a coordinator, such as `http://127.0.0.1:8080`; nothing is sent yet */
  constructor(
    private readonly url: string,
    private readonly options: KVClientOptions,
    openShared: OpenShared = copyShared,
  ) {
    this.clock = options.clock ?? new SystemClock();
    const { apiKey = null, requestS = REQUEST_S, localBytes = LOCAL_BYTES } = options;
    this.local = new LocalLayers(localBytes);
    this.shared = new SharedLayers(openShared);
    this.api = new ObjectApi({ url, apiKey, requestS, clock: this.clock });
    const engine = new ObjectApi({ url, root: '/v1/cache/kv', apiKey, requestS, clock: this.clock });
    this.engine = new EngineKV(engine, options.secret ?? null, localBytes);
  }

  /** A client for a fleet that answers. Rejects with `Unavailable` if it does not, and with `Refused` without the right key. */
  static async connect(url: string, options: KVClientOptions): Promise<KVClient> {
    const client = new this(url, options);
    await client.memory();
    return client;
  }

  async stats(): Promise<KVClientStats> {
    const { hits, misses } = this.counts;
    const hitRate = hits + misses === 0 ? 0 : hits / (hits + misses);
    const local = { layers: this.local.size, pinned: this.local.pinned().length, bytes: this.local.bytes };
    return { ...this.counts, hitRate, local, fleet: await this.memory().catch(() => null) };
  }

  /** Lets go of the layers in the memory of this process, of its pins, and of idle connections. */
  close(): void {
    this.pinTimer?.cancel();
    this.pinTimer = null;
    this.local.clear();
    for (const part of [this.api, this.engine, this.shared]) part.close();
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
    const key = this.keyOf(prefix, layer);
    this.local.remove(key);
    this.shared.forget(at(key));
    return (await this.api.send({ method: 'DELETE', path: at(key), expected: [404] })).status !== 404;
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
   * Brings the layers `0` to `count - 1` into the memory of this process, each for its next `get`. Resolves when they are here, with their
   * number: it ends before the first layer that is not there, or for which there is no room. Rejects as `get` does.
   */
  async prefetch(prefix: KVPrefix, count: number): Promise<number> {
    let layer = 0;
    for await (const value of this.getLayers(prefix, count)) {
      const key = this.keyOf(prefix, layer);
      if (!this.local.isPinned(key) && !this.local.add(key, value, 'prefetched')) break;
      layer++;
    }
    return layer;
  }

  /**
   * Keeps the layers `0` to `count - 1` until `unpin` or `close`: in the memory of this process, and in the fleet, where it looks for them every 10 s, which
   * counts as a use, and stores missing ones again. Returns their number, as `prefetch` does. Rejects with `Overloaded` if `localBytes` has no room.
   */
  async pin(prefix: KVPrefix, count: number): Promise<number> {
    let layer = 0;
    for await (const value of this.getLayers(prefix, count)) {
      if (!this.local.add(this.keyOf(prefix, layer), value, 'pinned')) {
        this.unpin(prefix, layer);
        throw new Overloaded('no room for pinned layers; unpin others, or raise localBytes');
      }
      layer++;
    }
    if (layer > 0) this.pinTimer ??= this.clock.every(PIN_CHECK_MS, () => void this.keepPinned());
    return layer;
  }

  /** Ends the pins of the layers `0` to `count - 1`. */
  unpin(prefix: KVPrefix, count: number): void {
    for (let layer = 0; layer < count; layer++) this.local.remove(this.keyOf(prefix, layer));
  }

  /**
   * How many of the first tokens of a prompt have K/V in the fleet, by the layer `layer`; 0 for none. It looks for the prefixes whose lengths are
   * multiples of 64, and for the whole prompt. Rejects as `get` does.
   */
  async longestPrefix(tokens: readonly number[], layer = 0): Promise<number> {
    const beginnings = beginningsOf(tokens);
    for (let end = beginnings.length; end > 0; end -= ASKED_KEYS) {
      const asked = beginnings.slice(Math.max(0, end - ASKED_KEYS), end);
      const there = await this.existing(asked.map(({ hash }) => this.keyOfHash(hash, layer)));
      const found = asked.findLast((_, index) => there[index]);
      if (found !== undefined) return found.tokens;
    }
    return 0;
  }

  /** The length of two prefixes' common beginning over the length of the longer one, from 0 to 1. Makes no request. */
  similarity(a: KVPrefix, b: KVPrefix): number {
    return prefixSimilarity(a, b);
  }

  /**
   * A layer from the fleet, or from `compute`, which one client at a time runs for it, over the whole fleet. If the fleet cannot be reached, the
   * layer is computed anyway. Rejects as `compute` does.
   */
  getOrCompute(prefix: KVPrefix, layer: number, compute: () => Promise<KVLayer>): Promise<KVLayer> {
    const key = this.keyOf(prefix, layer);
    const running = this.computing.get(key);
    if (running !== undefined) return running;
    const result = this.loadOrCompute(key, compute).finally(() => this.computing.delete(key));
    this.computing.set(key, result);
    return result;
  }

  /** Writes and reads an object, and asks for the memory of the fleet. */
  async health(): Promise<KVHealth> {
    try {
      return { connected: true, roundTripMs: await this.roundTrip(), memory: await this.memory() };
    } catch (error) {
      return { connected: false, error: error instanceof Error ? error.message : String(error) };
    }
  }

  /** The milliseconds that a write and a read take. */
  private async roundTrip(): Promise<number> {
    const startedMs = this.clock.now();
    const key = `health/${randomUUID()}`;
    await this.api.send({ method: 'PUT', path: at(key), headers: { 'x-shoal-ttl': '60' }, body: [Buffer.from(key)] });
    const read = await this.api.send({ method: 'GET', path: at(key) });
    if (read.text() !== key) throw new Unavailable(`${this.url} gives other bytes than were written`);
    const roundTripMs = this.clock.now() - startedMs;
    await this.api.send({ method: 'DELETE', path: at(key), expected: [404] });
    return roundTripMs;
  }

  private async memory(): Promise<KVMemory> {
    return MemoryAnswer.parse((await this.api.send({ method: 'GET', path: '?view=memory' })).json());
  }

  /** Which of these keys the fleet has. */
  private async existing(keys: readonly string[]): Promise<boolean[]> {
    const body = [Buffer.from(JSON.stringify({ keys }))];
    const headers = { 'content-type': 'application/json' };
    const answer = await this.api.send({ method: 'POST', path: '/exists', headers, body });
    return Existing.parse(answer.json()).data.map(({ exists }) => exists);
  }

  /** Stores pinned layers that the fleet has lost again. Failures are retried at the next look. */
  private async keepPinned(): Promise<void> {
    const pinned = this.local.pinned();
    for (let start = 0; start < pinned.length; start += ASKED_KEYS) {
      const asked = pinned.slice(start, start + ASKED_KEYS);
      const there = await this.existing(asked.map(([key]) => key)).catch(() => asked.map(() => true));
      for (const [index, [key, layer]] of asked.entries()) {
        if (!there[index] && this.local.isPinned(key)) await this.store(key, layer).catch(() => {});
      }
    }
  }

  private async loadOrCompute(key: string, compute: () => Promise<KVLayer>): Promise<KVLayer> {
    for (let pauseMs = POLL_MS; ; pauseMs = Math.min(2 * pauseMs, POLL_CEILING_MS)) {
      // A value that is not a layer is recomputed and replaced.
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
      const answer = await this.api.send(call);
      return answer.status === 412 ? 'taken' : { etag: answer.header('etag') ?? '' };
    } catch {
      return 'unreachable';
    }
  }

  /** Ends this client's lease, but not the lease of another client that took it after this one expired. */
  private async endLease(key: string, { etag }: HeldLease): Promise<void> {
    const call = { method: 'DELETE', path: at(leaseOf(key)), headers: { 'if-match': etag } } as const;
    await this.api.send({ ...call, expected: [404, 412] }).catch(() => {});
  }

  private async store(key: string, value: KVLayer): Promise<void> {
    const { ttlS } = this.options;
    const pieces = await packLayer(value, this.options.encoding ?? {});
    const headers: Record<string, string> = ttlS === undefined ? {} : { 'x-shoal-ttl': String(ttlS) };
    this.shared.forget(at(key));
    await this.api.send({ method: 'PUT', path: at(key), headers, body: pieces });
    this.local.replace(key, value);
    this.counts.puts++;
    this.counts.bytesWritten += pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  private async load(key: string): Promise<KVLayer | null> {
    const local = this.local.take(key);
    if (local !== null) {
      this.counts.hits++;
      return local;
    }
    const bytes = await this.shared.read(this.api, at(key));
    if (bytes === null) {
      this.counts.misses++;
      return null;
    }
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
