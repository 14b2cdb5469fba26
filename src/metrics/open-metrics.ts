import type { Clock } from '../clock.js';
import type { TraceConfig } from '../config/trace-config.js';
import type { Lifecycle } from '../lifecycle.js';
import type { Log } from '../log.js';
import type { OtlpSource } from '../trace/otlp-resource.js';
import type { MetricsRegistry } from './registry.js';

/** The process whose metrics are sent. */
interface Sender extends Omit<OtlpSource, 'service'> {
  readonly registry: MetricsRegistry;
  readonly clock: Clock;
  /** The time of day. */
  readonly wallMs: () => number;
  readonly log: Log;
}

/** Begins to send the metrics of a process to its collector, if it is to. `life` sends the last ones. */
export async function sendMetrics(life: Lifecycle, config: TraceConfig | null, sender: Sender): Promise<void> {
  if (config?.metrics !== true) return;
  const [{ OtlpMetrics }, { metricExporter }, { otlpResource }] = await Promise.all([
    import('./otlp-metrics.js'),
    import('./metric-exporter.js'),
    import('../trace/otlp-resource.js'),
  ]);
  const { role, id, version, registry, clock, wallMs, log } = sender;
  const exporter = await metricExporter(config);
  const resource = otlpResource({ service: config.service, role, id, version });
  await life.start(new OtlpMetrics({ exporter, resource, read: () => registry.read(), clock, wallMs, log }));
}
