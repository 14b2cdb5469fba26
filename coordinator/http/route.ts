/** What a route is to the server, and the server to a route. Neither knows the HTTP framework. */
export interface Route {
  readonly method: 'GET' | 'POST';
  /** With `:name` for one part, or `*` at the end for the rest. */
  readonly path: string;
  /** Whether it asks for a key, where keys are in use. */
  readonly access: 'open' | 'key';
  /** Whether its requests count as requests for tokens in the metrics. */
  readonly generates?: boolean;
  /** Throws `ApiError` or an error of `src/errors.ts`. */
  handle(exchange: Exchange): RouteAnswer | Promise<RouteAnswer>;
}

/** One request. */
export interface Exchange {
  readonly requestId: string;
  /** Parts of the path by name; the rest is `*`. */
  readonly params: Readonly<Record<string, string>>;
  readonly body: unknown;
  /** Whose key it is; null where none is asked for. */
  readonly tenant: string | null;
  /** On the clock of the server. */
  readonly arrivedMs: number;
  /** Aborted with the error to report: the client went away, or the coordinator stops. */
  readonly signal: AbortSignal;
  /** Calls `listener` once the answer was sent, or nobody is there to take it. */
  onClose(listener: () => void): void;
  /** A header's value by its lower-case name; null if it is not there. */
  header(name: string): string | null;
}

export type RouteAnswer = JsonAnswer | TextAnswer | EventsAnswer;

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

/** Server-sent events, each a JSON object; the next is fetched when the client has room for it. */
export interface EventsAnswer {
  readonly kind: 'events';
  readonly events: AsyncIterable<object>;
}

export function json(body: object, status = 200): JsonAnswer {
  return { kind: 'json', status, body };
}
