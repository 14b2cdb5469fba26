import { FIRST_TOKEN_SECONDS, INTER_TOKEN_SECONDS, QUEUE_SECONDS, REQUEST_SECONDS } from './buckets.js';
import type { Counter, Gauge, Histogram, MetricsRegistry } from './registry.js';

/** The metrics of requests, which coordinators and workers both export. */

/** Where the K/V of a prompt token came from: this worker's memory, a peer's memory, or the graph. */
export type TokenSource = 'local' | 'remote' | 'computed';

/** The metrics of requests, as this process sees them. */
export class RequestMetrics {
  readonly durationSeconds: Histogram;
  readonly firstTokenSeconds: Histogram;
  readonly interTokenSeconds: Histogram;
  readonly queueSeconds: Histogram;
  readonly total: Counter<'status'>;
  readonly running: Gauge;
  readonly waiting: Gauge;
  readonly promptTokens: Counter<'source'>;
  readonly generatedTokens: Counter;
  readonly resumed: Counter;

  constructor(registry: MetricsRegistry) {
    this.durationSeconds = registry.histogram({
      name: 'shoal_request_duration_seconds',
      help: 'Seconds from the arrival of a request to the end of its answer.',
      buckets: REQUEST_SECONDS,
    });
    this.firstTokenSeconds = registry.histogram({
      name: 'shoal_time_to_first_token_seconds',
      help: 'Seconds from the arrival of a request to its first token.',
      buckets: FIRST_TOKEN_SECONDS,
    });
    this.interTokenSeconds = registry.histogram({
      name: 'shoal_inter_token_latency_seconds',
      help: 'Seconds between two tokens of an answer.',
      buckets: INTER_TOKEN_SECONDS,
    });
    this.queueSeconds = registry.histogram({
      name: 'shoal_queue_seconds',
      help: 'Seconds that a sequence waited in its worker before it ran.',
      buckets: QUEUE_SECONDS,
    });
    this.total = registry.counter({
      name: 'shoal_requests_total',
      help: 'Requests for tokens, by final HTTP status (499: the client disconnected).',
      labels: ['status'],
    });
    this.running = registry.gauge({ name: 'shoal_requests_running', help: 'Running sequences.' });
    this.waiting = registry.gauge({ name: 'shoal_requests_waiting', help: 'Waiting sequences.' });
    this.promptTokens = registry.counter({
      name: 'shoal_prompt_tokens_total',
      help: 'Prompt tokens, by the source of their K/V.',
      labels: ['source'],
    });
    this.generatedTokens = registry.counter({ name: 'shoal_generated_tokens_total', help: 'Tokens generated.' });
    this.resumed = registry.counter({
      name: 'shoal_requests_resumed_total',
      help: 'Requests that continued on another worker after the loss of their worker.',
    });
    for (const source of ['local', 'remote', 'computed']) this.promptTokens.add(0, { source });
  }
}
