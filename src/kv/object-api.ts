import type { Clock } from '../clock.js';
import { InvalidRequest, Overloaded, Refused, type ShoalError, Unavailable } from '../errors.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { type HttpAnswer, HttpConnections } from './http-exchange.js';

/** Calls of `/v1/kv`, or of another path of the API, as a program outside the fleet makes them (docs/KV.md). */

/** Attempts of a call that may be repeated, and the pause after the first one; each is twice the last. */
const TRIES = 3;
const PAUSE_MS = 50;
/** After so many calls in a row that the fleet did not answer, calls fail at once for a while. */
const BREAKER = { failures: 5, pauseMs: 1_000 };

export interface ObjectApiOptions {
  readonly url: string;
  /** Begins the path of each call. Default: `/v1/kv`. */
  readonly root?: string;
  readonly apiKey: string | null;
  /** Seconds for one request, its answer included. */
  readonly requestS: number;
  readonly clock: Clock;
}

export interface ObjectCall {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE' | 'POST';
  /** Behind the root. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: readonly Uint8Array[];
  /** Statuses that count as answers besides those of success. */
  readonly expected?: readonly number[];
  /** `once`: a second attempt would find the result of the first, and mistake it for another client's. */
  readonly attempts?: 'once' | 'several';
}

export class ObjectApi {
  private readonly breaker = new CircuitBreaker(BREAKER);
  private readonly connections = new HttpConnections();

  constructor(private readonly options: ObjectApiOptions) {}

  /** Whether the fleet answered lately, or may have. */
  get connected(): boolean {
    return this.breaker.closed;
  }

  /**
   * Rejects with `Overloaded` if there is no room, `Refused` without the right key, `InvalidRequest` for a request that the fleet does not accept, and
   * `Unavailable` if it does not answer, or breaks off, after several attempts.
   */
  async send(call: ObjectCall): Promise<HttpAnswer> {
    const tries = call.attempts === 'once' ? 1 : TRIES;
    for (let tried = 1, pauseMs = PAUSE_MS; ; tried++, pauseMs *= 2) {
      try {
        return await this.attempt(call);
      } catch (error) {
        if (!(error instanceof Unavailable) || tried >= tries || !this.connected) throw error;
      }
      await new Promise<void>((resolve) => this.options.clock.after(pauseMs, resolve));
    }
  }

  /** Closes the connections that are idle. */
  close(): void {
    this.connections.close();
  }

  private async attempt(call: ObjectCall): Promise<HttpAnswer> {
    const { url, clock } = this.options;
    if (!this.breaker.enter(clock.now())) {
      throw new Unavailable(`${url} did not answer the last calls; the next try is within ${BREAKER.pauseMs} ms`);
    }
    try {
      const response = await this.exchange(call);
      this.breaker.succeeded();
      return response;
    } catch (error) {
      // Any other failure is an answer.
      if (error instanceof Unavailable) this.breaker.failed(clock.now());
      else this.breaker.succeeded();
      throw error;
    }
  }

  private async exchange({ method, path, headers, body = [], expected = [] }: ObjectCall): Promise<HttpAnswer> {
    const { url, root = '/v1/kv', apiKey, requestS } = this.options;
    const own = apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };
    const call = { method, headers: { ...headers, ...own }, body, timeoutMs: requestS * 1_000 };
    const answer = await this.connections.exchange(`${url}${root}${path}`, call).catch((cause: unknown) => {
      throw new Unavailable(`cannot reach ${url}; check the address, or retry`, { cause });
    });
    if (answer.ok || expected.includes(answer.status)) return answer;
    throw failureOf(answer.status, answer.text());
  }
}

/** The error for an answer of the fleet. */
function failureOf(status: number, text: string): ShoalError {
  const message = `the fleet answered with HTTP ${status}: ${text.slice(0, 500)}`;
  if (status === 401 || status === 403) return new Refused(message);
  if (status === 429) return new Overloaded(message);
  return status >= 400 && status < 500 ? new InvalidRequest(message) : new Unavailable(message);
}
