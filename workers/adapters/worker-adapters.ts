import type { Device } from '../../src/device/device.js';
import { loadAdapter } from '../../src/engine/adapter-loader.js';
import { AdapterShelf } from '../../src/engine/adapter-shelf.js';
import type { Engine } from '../../src/engine/engine.js';
import type { ModelGraph } from '../../src/engine/model-graph.js';
import type { Log } from '../../src/log.js';
import { AdapterMetrics } from '../../src/metrics/adapter-metrics.js';
import type { MetricsRegistry } from '../../src/metrics/registry.js';
import type { AdapterFolder } from '../../src/model/adapter/adapter-folder.js';

/** The adapters of a worker: from their folder into the memory of its device. */

export interface WorkerAdaptersOptions {
  readonly graph: ModelGraph;
  readonly device: Device;
  readonly folder: AdapterFolder;
  readonly budgetBytes: number;
  readonly log: Log;
  readonly registry: MetricsRegistry;
  /** The engine that runs with them, which is made later. */
  readonly engine: () => Pick<Engine, 'forget'>;
  /** Called after an adapter was loaded or evicted. */
  readonly onChange: () => void;
}

/** Null if the graph takes no adapters. */
export function workerAdapters(options: WorkerAdaptersOptions): AdapterShelf | null {
  const { graph, device, folder, budgetBytes, log, registry, engine, onChange } = options;
  if (graph.loraInputs.length === 0) return null;
  const shelf = new AdapterShelf({
    budgetBytes,
    load: async (ref) => {
      const { name, fingerprint } = ref;
      try {
        const adapter = await loadAdapter(graph, device, { bytes: await folder.read(ref), fingerprint });
        log.info({ adapter: name, fingerprint, bytes: ref.bytes }, 'loaded an adapter');
        return adapter;
      } catch (err) {
        log.error({ adapter: name, fingerprint, err }, 'cannot load an adapter');
        throw err;
      }
    },
    onEvict: (adapter) => engine().forget(adapter),
    onChange,
    onEvent: (event) => {
      if (event === 'evicted') metrics.evictions.add(1);
      else metrics.loads.add(1, { result: event });
    },
  });
  const use = () => ({ adapters: shelf.loaded.length, bytes: shelf.bytes, budgetBytes });
  const metrics = new AdapterMetrics(registry, use);
  return shelf;
}
