import type { Clock } from '../clock.js';
import type { TraceConfig } from '../config/trace-config.js';
import type { Lifecycle } from '../lifecycle.js';
import type { Log } from '../log.js';
import type { MetricsRegistry } from './registry.js';

/** The process whose metrics are sent. */
interface Sender {
  readonly role: 'coordinator' | 'worker';
  readonly id: string;
  readonly version: string;
  readonly registry: MetricsRegistry;
  readonly clock: Clock;
  /** The time of day. */
  readonly wallMs: () => number;
  readonly log: Log;
}

/** Begins to send the metrics of a process to its collector, if it is to. `life` sends the last ones. */
export async function sendMetrics(life: Lifecycle, config: TraceConfig | null, sender: Sender): Promise<void> {
  if (config?.metrics !== true) return;
  const { OtlpMetrics } = await import('./otlp-metrics.js');
  const { role, id, version, registry, ...ports } = sender;
  const resource = {
    ...{ 'service.name': config.service, 'service.version': version, 'service.instance.id': id },
    'shoal.role': role,
  };
  const headers = process.env.OTEL_EXPORTER_OTLP_HEADERS ?? '';
  await life.start(
    new OtlpMetrics({ ...ports, endpoint: config.endpoint, headers, resource, read: () => registry.read() }),
  );
}
