import type { Clock, Timer } from '../clock.js';
import type { Log } from '../log.js';
import type { Resource } from '../trace/otlp-resource.js';
import type { MetricExporter } from './metric-exporter.js';
import { type MetricSeries, otlpRecords } from './otlp-records.js';

/** Sends the metrics of a process to an OpenTelemetry collector. A collector that cannot be reached costs only metrics. */

const SEND_INTERVAL_MS = 15_000;

export interface OtlpMetricsOptions {
  readonly exporter: MetricExporter;
  readonly resource: Resource;
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
    await this.options.exporter.shutdown().catch(() => {});
  }

  /** One request at a time. Never rejects. */
  send(): Promise<void> {
    this.sending ??= this.export().finally(() => {
      this.sending = null;
    });
    return this.sending;
  }

  private async export(): Promise<void> {
    const { exporter, resource, read, wallMs, log } = this.options;
    try {
      const records = otlpRecords(await read(), resource, { startMs: this.startedMs, atMs: wallMs() });
      await new Promise<void>((resolve, reject) =>
        exporter.export(records, ({ code, error }) => (code === 0 ? resolve() : reject(error))),
      );
      if (this.failing) log.warn({}, 'the collector takes metrics again');
      this.failing = false;
    } catch (err) {
      if (!this.failing) log.warn({ err }, 'the collector takes no metrics; they are lost until it does');
      this.failing = true;
    }
  }
}
