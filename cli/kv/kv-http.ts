import { z } from 'zod';
import { Cancelled, InvalidRequest, Overloaded, Refused, type ShoalError, Unavailable } from '../../src/errors.js';
import { callHttp, type HttpCall } from '../call-http.js';
import type { ArchivedObject } from './archive-head.js';

/** The objects of a fleet, over the HTTP API of a coordinator (docs/KV.md). */

const Page = z.object({ data: z.array(z.object({ key_base64url: z.string() })), next: z.string().nullable() });

/** Keys on one page of a list. */
const PAGE_KEYS = 100;
/** Time for an answer without an object's bytes, and without progress in the middle of them. */
const ANSWER_MS = 60_000;
const META = 'x-shoal-meta-';
/** The content type with which the fleet sends an object that has none. */
const NO_TYPE = 'application/octet-stream';

export interface KeyPage {
  /** In base64url. */
  readonly keys: readonly string[];
  /** The place from which the list continues; null at its end. */
  readonly next: string | null;
}

/** All calls reject with `Unavailable` or `Overloaded` for what may pass, with `Refused` without the right key, and with `InvalidRequest` for the rest. */
export class KvHttp {
  constructor(
    private readonly url: string,
    private readonly apiKey: string | null,
  ) {}

  async list(prefix: string, after: string | null): Promise<KeyPage> {
    const query = new URLSearchParams({ prefix, limit: String(PAGE_KEYS), ...(after !== null && { after }) });
    const stall = new Stall();
    try {
      const answer = await this.send(`/v1/kv?${query}`, { signal: stall.signal });
      const { data, next } = Page.parse(await answer.json());
      return { keys: data.map(({ key_base64url }) => key_base64url), next };
    } finally {
      stall.over();
    }
  }

  /** Reads an object, and hands its bytes to `take`. False if there is none any more. */
  async read(
    key: string,
    take: (object: ArchivedObject, bytes: AsyncIterable<Uint8Array>) => Promise<void>,
  ): Promise<boolean> {
    const stall = new Stall();
    try {
      const answer = await this.send(pathOf(key), { signal: stall.signal }, [404]);
      if (answer.status === 404) return false;
      await take(objectOf(key, answer.headers), stall.watch(piecesOf(answer)));
      return true;
    } finally {
      // Ends the request also if not all bytes were taken.
      stall.over();
    }
  }

  /** The digest of an object; null if there is none. */
  async digest(key: string): Promise<string | null> {
    const answer = await this.send(pathOf(key), { method: 'HEAD', signal: AbortSignal.timeout(ANSWER_MS) }, [404]);
    return answer.status === 404 ? null : tagOf(answer.headers);
  }

  /**
   * Writes an object, in place of the one with the digest `replaced`. Gives its digest; null if it is not that one any more.
   * @param replaced null if there must be none
   */
  async write(
    object: ArchivedObject,
    bytes: AsyncIterable<Uint8Array>,
    ttlS: number | null,
    replaced: string | null,
  ): Promise<string | null> {
    const { contentType, fields } = object;
    const headers = {
      'content-length': String(object.bytes),
      ...(contentType !== null && { 'content-type': contentType }),
      ...(ttlS !== null && { 'x-shoal-ttl': ttlS.toFixed(3) }),
      ...Object.fromEntries(Object.entries(fields).map(([name, value]) => [`${META}${name}`, value])),
      ...(replaced === null ? { 'if-none-match': '*' } : { 'if-match': `"${replaced}"` }),
    };
    const stall = new Stall();
    try {
      const call = { method: 'PUT', headers, body: stall.watch(bytes), signal: stall.signal };
      const answer = await this.send(pathOf(object.key), call, [412]);
      await answer.arrayBuffer();
      return answer.status === 412 ? null : tagOf(answer.headers);
    } finally {
      stall.over();
    }
  }

  private async send(path: string, call: HttpCall, expected: readonly number[] = []): Promise<Response> {
    const authorization = this.apiKey === null ? {} : { authorization: `Bearer ${this.apiKey}` };
    const headers = { ...call.headers, ...authorization };
    const answer = await callHttp(new URL(path, this.url), { ...call, headers }).catch((error: unknown) => {
      throw brokenOff(this.url, error);
    });
    if (answer.ok || expected.includes(answer.status)) return answer;
    throw failureOf(answer.status, await answer.text().catch(() => ''));
  }
}

function pathOf(key: string): string {
  return `/v1/kv/${key}?encoding=base64url`;
}

function tagOf(headers: Headers): string {
  return (headers.get('etag') ?? '').replace(/^"(.*)"$/, '$1');
}

function objectOf(key: string, headers: Headers): ArchivedObject {
  const fields = [...headers].filter(([name]) => name.startsWith(META));
  const contentType = headers.get('content-type');
  const expiry = headers.get('x-shoal-expires-at');
  return {
    type: 'object',
    key,
    bytes: Number(headers.get('content-length')),
    digest: tagOf(headers),
    contentType: contentType === NO_TYPE ? null : contentType,
    fields: Object.fromEntries(fields.map(([name, value]) => [name.slice(META.length), value])),
    expiresAtMs: expiry === null ? null : Date.parse(expiry),
  };
}

async function* piecesOf(answer: Response): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of answer.body ?? []) yield piece;
  } catch (error) {
    throw brokenOff(answer.url, error);
  }
}

function brokenOff(url: string, error: unknown): Unavailable {
  const reason = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
  return new Unavailable(`cannot reach a coordinator at ${url}: ${reason}; start one with shoal up, or set --url`);
}

function failureOf(status: number, text: string): ShoalError {
  const message = `the fleet answered with HTTP status ${status}: ${text.slice(0, 500)}`;
  if (status === 401 || status === 403) return new Refused(message);
  if (status === 429) return new Overloaded(message);
  return status >= 400 && status < 500 ? new InvalidRequest(message) : new Unavailable(message);
}

/** Ends a request whose transfer stalls. */
class Stall {
  private readonly controller = new AbortController();
  private timer = this.start();

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  async *watch(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      clearTimeout(this.timer);
      this.timer = this.start();
      yield piece;
    }
  }

  over(): void {
    clearTimeout(this.timer);
    this.controller.abort(new Cancelled('the request is over'));
  }

  private start(): NodeJS.Timeout {
    const stalled = new Cancelled(`no byte was sent or received for ${ANSWER_MS} ms`);
    return setTimeout(() => this.controller.abort(stalled), ANSWER_MS);
  }
}
