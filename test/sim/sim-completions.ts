import type { Fleet, FleetEvent } from '../../coordinator/fleet.js';
import { Repeats } from '../../coordinator/http/repeats.js';
import type { Exchange, HttpRoute, RouteAnswer } from '../../coordinator/http/route.js';
import type { Clock } from '../../src/clock.js';
import { Cancelled } from '../../src/errors.js';
import { GREEDY, type Stopping } from '../../src/protocol/generate.js';
import { NO_SPAN } from '../../src/trace/span.js';

/**
 * The completions of a simulated coordinator, by token ids: a request that is repeated under its ID joins the running answer, or gets the finished
 * one. Stands in for the HTTP server above the production code for repeated requests.
 */

interface Completion {
  readonly tokens: readonly number[];
  readonly maxTokens: number;
}

export function stoppingAfter(maxTokens: number): Stopping {
  return { maxTokens, minTokens: 0, tokenIds: [], ignoreEos: true };
}

/** One client's connection. */
export class Connection {
  private readonly leaving = new AbortController();
  private readonly listeners: (() => void)[] = [];
  private closed = false;

  constructor(private readonly requestId: string) {}

  exchange(body: Completion, arrivedMs: number): Exchange {
    return {
      requestId: this.requestId,
      params: {},
      target: '/v1/completions',
      method: 'POST',
      upload: null,
      headers: {},
      body,
      principal: null,
      use: null,
      account: () => {},
      span: NO_SPAN,
      answerHeaders: () => {},
      arrivedMs,
      signal: this.leaving.signal,
      onClose: (listener) => void this.listeners.push(listener),
      header: (name) => (name === 'x-request-id' ? this.requestId : null),
    };
  }

  /** The client disconnects. */
  disconnect(): void {
    this.leaving.abort(new Cancelled('the client disconnected'));
    this.close();
  }

  /** The answer was sent, or the client is gone. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const listener of this.listeners) listener();
  }
}

export class SimCompletions {
  /** How often each request was computed, without the computations that failed. */
  readonly computations = new Map<string, number>();
  private readonly route: HttpRoute;

  constructor(
    private readonly fleet: Pick<Fleet, 'generate'>,
    private readonly clock: Clock,
  ) {
    this.route = new Repeats(clock).join({
      method: 'POST',
      path: '/v1/completions',
      access: 'key',
      handle: (exchange) => this.compute(exchange),
    });
  }

  /** The events of an answer. */
  async *ask(connection: Connection, body: Completion): AsyncGenerator<FleetEvent> {
    const answer = await this.route.handle(connection.exchange(body, this.clock.now()));
    if (answer.kind !== 'events') throw new Error(`an answer of the kind ${answer.kind}`);
    for await (const event of answer.events)
      yield (typeof event === 'string' ? JSON.parse(event) : event) as FleetEvent;
  }

  private compute({ requestId, body, signal }: Exchange): RouteAnswer {
    const { tokens, maxTokens } = body as Completion;
    this.computations.set(requestId, (this.computations.get(requestId) ?? 0) + 1);
    const request = {
      requestId,
      tokens: Uint32Array.from(tokens),
      salt: null,
      sampling: GREEDY,
      stopping: stoppingAfter(maxTokens),
      worker: null,
    };
    return { kind: 'events', events: this.counted(requestId, this.fleet.generate(request, signal)) };
  }
  private async *counted(requestId: string, events: AsyncIterable<FleetEvent>): AsyncGenerator<FleetEvent> {
    try {
      yield* events;
    } catch (error) {
      this.computations.set(requestId, this.computations.get(requestId)! - 1);
      throw error;
    }
  }
}
