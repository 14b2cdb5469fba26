import type { z } from 'zod';
import type { ObjectBody } from '../../src/objects/object-node.js';
import type { Span } from '../../src/trace/span.js';
import type { Principal } from '../access/principal.js';
import type { RouteAccess } from '../access/roles.js';
import type { QuotaUse } from '../quota/quota-use.js';
import type { RequestAccount } from './request-end.js';

/** The interface between the routes and the server; it hides the HTTP framework. */
export interface HttpRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** `:name` matches one segment; a final `*` matches the rest. */
  readonly path: string;
  /** Its entry in the OpenAPI document. */
  readonly about?: RouteAbout;
  /** The callers that may use it, if keys are configured. */
  readonly access: RouteAccess;
  /**
   * The pages that may call it from a browser: `allowed`, the pages of `--allowed-origins`; `any`, all pages, and under any IP address; `linked`,
   * pages of the coordinator, and links to it on any page; by default only pages of the coordinator itself.
   */
  readonly pages?: 'allowed' | 'any' | 'linked';
  /** The body is not JSON, and the route reads it: `Exchange.upload`. It has at most this many bytes. */
  readonly uploadBytes?: number;
  /** Whether the request metrics count its requests. */
  readonly generates?: boolean;
  /** Whether a request gets the answer of an earlier one. By default none does. */
  repeats?(exchange: Exchange): boolean;
  /** Throws `ApiError` or an error of `src/errors.ts`. */
  handle(exchange: Exchange): RouteAnswer | Promise<RouteAnswer>;
}

/** The documentation of a route. */
export interface RouteAbout {
  /** One sentence. */
  readonly summary: string;
  /** The checker of its body. */
  readonly body?: z.ZodType;
  /** A JSON answer. Default: any object. */
  readonly answer?: z.ZodType;
  /** By status, the media types of its answers; none for an answer without a body. Default: 200 with JSON, and with events if it generates. */
  readonly answers?: Readonly<Record<number, readonly string[]>>;
}

/** One request, and the connection it came on. */
export interface Exchange {
  readonly requestId: string;
  /** Segments of the path by name; `*` is the rest. */
  readonly params: Readonly<Record<string, string>>;
  readonly body: unknown;
  /** Path and query as they came. */
  readonly target: string;
  readonly method: string;
  /** The body of a route with `uploadBytes`; null for other routes. */
  readonly upload: Upload | null;
  /** The caller; null if no key is needed. */
  readonly principal: Principal | null;
  /** On the server's clock. */
  readonly arrivedMs: number;
  /** Aborted, with the error to report as its reason, when the client disconnects, when its key is no longer accepted, or when the coordinator stops. */
  readonly signal: AbortSignal;
  /** Calls `listener` once, when the answer has been sent or the client has disconnected. */
  onClose(listener: () => void): void;
  /** Its use of the limits of its key; null if there are none. */
  readonly use: QuotaUse | null;
  /** Sets the account that log and audit log read when the request ends. */
  account(account: () => RequestAccount): void;
  /** Its part of a trace, which the server ends. */
  readonly span: Span;
  /** Sets headers of the answer, which has not begun. */
  answerHeaders(headers: Readonly<Record<string, string>>): void;
  /** All headers by their lower-case names. */
  readonly headers: Readonly<Record<string, unknown>>;
  /** A header's value by its lower-case name; null if it was not sent. */
  header(name: string): string | null;
}

/** A body that the route reads itself. */
export interface Upload {
  /** Null if the client did not say. */
  readonly bytes: number | null;
  readonly chunks: AsyncIterable<Buffer>;
}

export type RouteAnswer = JsonAnswer | TextAnswer | EventsAnswer | BytesAnswer;

export interface JsonAnswer {
  readonly kind: 'json';
  readonly status: number;
  readonly body: object;
}

interface TextAnswer {
  readonly kind: 'text';
  readonly contentType: string;
  readonly text: string;
}

/** Bytes, sent as fast as the client takes them. */
export interface BytesAnswer {
  readonly kind: 'bytes';
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Null for an answer without a body. */
  readonly body: ObjectBody | null;
}

/** Server-sent events, each a JSON object or its text; several texts go out at once. The next event is pulled when the client's socket has room for it. */
export interface EventsAnswer {
  readonly kind: 'events';
  readonly events: AsyncIterable<object | string | readonly string[]>;
  /** `named`: each event is an object with a `type`, which is its name, and none follows the last. Default: `plain`, with `[DONE]` at the end. */
  readonly form?: 'plain' | 'named';
}

export function json(body: object, status = 200): JsonAnswer {
  return { kind: 'json', status, body };
}
