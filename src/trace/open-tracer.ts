import type { TraceConfig } from '../config/trace-config.js';
import type { Lifecycle } from '../lifecycle.js';
import type { Log } from '../log.js';
import type { Reloads } from '../reload.js';
import type { OtlpSource } from './otlp-resource.js';
import type { Tracer } from './span.js';

/** The process that records. */
interface Recorder extends Omit<OtlpSource, 'service'> {
  readonly log: Log;
  readonly reloads: Reloads;
}

/** Opens the tracer of a process; null without a collector: then the packages are not even loaded. `life` sends the last spans. */
export async function openTracer(
  life: Lifecycle,
  config: TraceConfig | null,
  recorder: Recorder,
): Promise<Tracer | null> {
  if (config === null) return null;
  const { role, id, version, log, reloads } = recorder;
  const [{ OtlpTracer }, { spanExporter }] = await Promise.all([
    import('./otlp-tracer.js'),
    import('./span-exporter.js'),
  ]);
  const exporter = await spanExporter(config);
  const source = { service: config.service, role, id, version };
  const tracer = new OtlpTracer({ source, exporter, ratio: config.ratio, log });
  reloads.on(({ traceRatio }) => {
    tracer.ratio = traceRatio;
  });
  return life.use(tracer, () => tracer.close());
}
