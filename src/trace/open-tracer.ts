import type { TraceConfig } from '../config/trace-config.js';
import type { Lifecycle } from '../lifecycle.js';
import type { Log } from '../log.js';
import type { Reloads } from '../reload.js';
import type { Tracer } from './span.js';

/** The process that records. */
interface Recorder {
  readonly role: 'coordinator' | 'worker' | 'node';
  readonly id: string;
  readonly version: string;
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
  const { OtlpTracer } = await import('./otlp-tracer.js');
  const tracer = new OtlpTracer({ ...config, ...recorder });
  recorder.reloads.on(({ traceRatio }) => {
    tracer.ratio = traceRatio;
  });
  return life.use(tracer, () => tracer.close());
}
