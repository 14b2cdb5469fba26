import type { Clock, Timer } from '../clock.js';
import type { Log } from '../log.js';
import { type MetricSeries, otlpBody } from './otlp-body.js';

/** Sends the metrics of a process to an OpenTelemetry collector, by OTLP over HTTP, as JSON. A collector that cannot be reached costs only metrics. */

const SEND_INTERVAL_MS = 15_000;
const SEND_TIMEOUT_MS = 3_000;

export interface OtlpMetricsOptions {
  /** Base URL of the collector, without `/v1/metrics`. */
  readonly endpoint: string;
  /** As OTEL_EXPORTER_OTLP_HEADERS has them: `name=value,name=value`, percent-encoded. */
  readonly headers: string;
  readonly resource: Readonly<Record<string, string>>;
  readonly read: () => Promise<readonly MetricSeries[]>;
  readonly clock: Clock;
  /** The time of day. */
  readonly wallMs: () => number;
  readonly log: Log;
}

export class OtlpMetrics {
  private readonly startedMs: number;
  private timer: Timer | null = null;
  private sending: Promise<void> | null = null;
  private failing = false;

  constructor(private readonly options: OtlpMetricsOptions) {
    this.startedMs = options.wallMs();
  }

  start(): void {
    this.timer = this.options.clock.every(SEND_INTERVAL_MS, () => void this.send());
  }

  /** Sends the last values. */
  async stop(): Promise<void> {
    this.timer?.cancel();
    await this.sending;
    await this.send();
  }

  /** One request at a time. Never rejects. */
  private send(): Promise<void> {
    this.sending ??= this.post().finally(() => {
      this.sending = null;
    });
    return this.sending;
  }

  private async post(): Promise<void> {
    const { endpoint, headers, resource, read, wallMs, log } = this.options;
    try {
      const body = otlpBody(await read(), resource, { startMs: this.startedMs, atMs: wallMs() });
      const response = await fetch(`${endpoint.replace(/\/+$/, '')}/v1/metrics`, {
        method: 'POST',
        headers: { ...headersIn(headers), 'content-type': 'application/json' },
        body: JSON.stringify(body),
        redirect: 'error',
        signal: AbortSignal.timeout(SEND_TIMEOUT_MS),
      });
      await response.body?.cancel();
      if (!response.ok) throw new Error(`HTTP status ${response.status}`);
      if (this.failing) log.info({}, 'the collector takes metrics again');
      this.failing = false;
    } catch (err) {
      if (!this.failing) log.warn({ err }, 'the collector takes no metrics; they are lost until it does');
      this.failing = true;
    }
  }
}

/** Entries that are not headers are left out. */
function headersIn(text: string): Record<string, string> {
  const entries = text.split(',').flatMap((entry) => {
    const at = entry.indexOf('=');
    if (at < 1) return [];
    return [[entry.slice(0, at).trim(), decoded(entry.slice(at + 1).trim())] as const];
  });
  return Object.fromEntries(entries);
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
