import { FIRST_TOKEN_SECONDS, INTER_TOKEN_SECONDS, QUEUE_SECONDS, REQUEST_SECONDS } from './buckets.js';
import type { Counter, Gauge, Histogram, MetricsRegistry } from './registry.js';

/** Where tokens of a prompt came from: this worker's memory, a peer's, or the graph. */
export type TokenSource = 'local' | 'remote' | 'computed';

/** What coordinators and workers both say of requests, as each of them sees it. */
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
      help: 'Seconds a token after the first one took.',
      buckets: INTER_TOKEN_SECONDS,
    });
    this.queueSeconds = registry.histogram({
      name: 'shoal_queue_seconds',
      help: 'Seconds a sequence waited in its worker before it ran.',
      buckets: QUEUE_SECONDS,
    });
    this.total = registry.counter({
      name: 'shoal_requests_total',
      help: 'Requests for tokens, by the HTTP status they ended with (499: the client went away).',
      labels: ['status'],
    });
    this.running = registry.gauge({ name: 'shoal_requests_running', help: 'Sequences that run.' });
    this.waiting = registry.gauge({ name: 'shoal_requests_waiting', help: 'Sequences that wait to run.' });
    this.promptTokens = registry.counter({
      name: 'shoal_prompt_tokens_total',
      help: 'Prompt tokens, by where their K/V came from.',
      labels: ['source'],
    });
    this.generatedTokens = registry.counter({ name: 'shoal_generated_tokens_total', help: 'Tokens generated.' });
    this.resumed = registry.counter({
      name: 'shoal_requests_resumed_total',
      help: 'Requests that went on at another worker after theirs was lost.',
    });
    for (const source of ['local', 'remote', 'computed']) this.promptTokens.add(0, { source });
  }
}
