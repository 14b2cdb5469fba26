import { createHash, randomUUID } from 'node:crypto';
import { type Clock, SystemClock } from '../clock.js';
import { Corrupt, InvalidRequest, Overloaded, Refused, type ShoalError, Unavailable } from '../errors.js';
import { type KVLayer, packLayer, unpackLayer } from './kv-layer.js';

/** K/V of prompt prefixes in a fleet, for programs of any kind: layers under a prefix, over HTTP (`/v1/kv`, docs/KV.md). */

/** A prompt, as text or as token IDs. Text and tokens are never the same prefix. */
export type KVPrefix = string | readonly number[];

export interface KVClientOptions {
  /** All that the bytes depend on beside the prefix: the model, its revision, the dtype, the adapter, the rank. */
  readonly model: string;
  /** A key of the fleet's HTTP API, where keys are in use. */
  readonly apiKey?: string;
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
  readonly puts: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

const LEASE_S = 30;
const REQUEST_S = 30;
/** Pauses between two looks for a layer that another client computes: the first, and the longest. Each is twice the last. */
const POLL_MS = 25;
const POLL_CEILING_MS = 400;

/** A lease that this client has; its bytes, and so its ETag, are its own. */
interface HeldLease {
  readonly etag: string;
}

export class KVClient {
  private readonly clock: Clock;
  private readonly computing = new Map<string, Promise<KVLayer>>();
  private readonly counts = { hits: 0, misses: 0, puts: 0, bytesRead: 0, bytesWritten: 0 };

  /** @param url a coordinator, such as `http://127.0.0.1:8080`; nothing is sent yet */
  constructor(
    private readonly url: string,
    private readonly options: KVClientOptions,
  ) {
    this.clock = options.clock ?? new SystemClock();
  }

  stats(): KVClientStats {
    return { ...this.counts };
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
    return (await this.send('HEAD', this.keyOf(prefix, layer), {}, null, [404])).status !== 404;
  }

  /** Deletes a layer. False if it was not there. */
  async delete(prefix: KVPrefix, layer: number): Promise<boolean> {
    return (await this.send('DELETE', this.keyOf(prefix, layer), {}, null, [404])).status !== 404;
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
    await this.send('PUT', key, { 'x-shoal-ttl': '60' }, [Buffer.from(key)]);
    const read = await this.send('GET', key);
    if ((await read.text()) !== key) throw new Unavailable(`${this.url} gives other bytes than were written`);
    await this.send('DELETE', key, {}, null, [404]);
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
      const { status, headers: answered } = await this.send(
        'PUT',
        leaseOf(key),
        headers,
        [Buffer.from(randomUUID())],
        [412],
      );
      return status === 412 ? 'taken' : { etag: answered.get('etag') ?? '' };
    } catch {
      return 'unreachable';
    }
  }

  /** Ends this client's lease, and not that of another one that took it after this one had expired. */
  private async endLease(key: string, { etag }: HeldLease): Promise<void> {
    await this.send('DELETE', leaseOf(key), { 'if-match': etag }, null, [404, 412]).catch(() => {});
  }

  private async store(key: string, value: KVLayer): Promise<void> {
    const { ttlS } = this.options;
    const pieces = packLayer(value);
    await this.send('PUT', key, ttlS === undefined ? {} : { 'x-shoal-ttl': String(ttlS) }, pieces);
    this.counts.puts++;
    this.counts.bytesWritten += pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  private async load(key: string): Promise<KVLayer | null> {
    const response = await this.send('GET', key, {}, null, [404]);
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
    return unpackLayer(bytes);
  }

  /** @param expected statuses beside those of success that are answers */
  private async send(
    method: string,
    key: string,
    headers: Record<string, string> = {},
    body: readonly Uint8Array[] | null = null,
    expected: readonly number[] = [],
  ): Promise<Response> {
    const { apiKey, requestS = REQUEST_S } = this.options;
    const authorization = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
    let response: Response;
    try {
      response = await fetch(`${this.url}/v1/kv/${encodeURIComponent(key)}`, {
        method,
        headers: { ...headers, ...authorization },
        signal: AbortSignal.timeout(requestS * 1_000),
        ...(body !== null && { body: new Blob(body as Uint8Array<ArrayBuffer>[]) }),
      });
    } catch (error) {
      throw new Unavailable(`cannot reach ${this.url}; check the address, or retry`, { cause: error });
    }
    const answers = response.ok || expected.includes(response.status);
    // The connection is free for other requests once the body was read.
    if (method !== 'GET' || !response.ok) await discardText(response, answers);
    return response;
  }

  private keyOf(prefix: KVPrefix, layer: number): string {
    const hash = createHash('sha256').update(typeof prefix === 'string' ? 'text\0' : 'tokens\0');
    if (typeof prefix === 'string') hash.update(prefix);
    else hash.update(JSON.stringify(prefix));
    return `layer/${encodeURIComponent(this.options.model)}/${hash.digest('hex')}/${layer}`;
  }
}

function leaseOf(key: string): string {
  return `${key}/lease`;
}

async function discardText(response: Response, answers: boolean): Promise<void> {
  const text = await response.text().catch(() => '');
  if (!answers) throw failureOf(response.status, text);
}

/** The error for an answer of the fleet. */
function failureOf(status: number, text: string): ShoalError {
  const message = `the fleet answered with HTTP ${status}: ${text.slice(0, 500)}`;
  if (status === 401 || status === 403) return new Refused(message);
  if (status === 429) return new Overloaded(message);
  return status >= 400 && status < 500 ? new InvalidRequest(message) : new Unavailable(message);
}
