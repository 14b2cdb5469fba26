import type { Pointer } from '../native/ffi.js';
import { Handle, withHandle } from '../native/handle.js';
import type { Environment } from './environment.js';
import type { Provider } from './provider.js';
import { type Spinning, spinEntries } from './spinning.js';

/** The settings of a session, and their form in the C API. */

const OPTIMIZATION_LEVELS = { none: 0, basic: 1, extended: 2, all: 99 } as const;

export interface SessionOptions extends Spinning {
  /** Runs the nodes that it supports; the CPU runs the others. Default: the CPU. */
  readonly provider?: Provider;
  /** Threads that share the work of one operator. */
  readonly intraOpThreads: number;
  /** Folder of external weights, for a model given as bytes. Default: the current folder. */
  readonly externalDataFolder?: string;
  /** How much ONNX Runtime may rewrite the graph when it loads it. Default: `all`. */
  readonly optimization?: keyof typeof OPTIMIZATION_LEVELS;
  /**
   * Caches the layout of temporary memory for each combination of input shapes. The cache is never evicted, so this suits only graphs
   * whose shapes repeat. Default: false.
   */
  readonly memoryPattern?: boolean;
  /** Whether freed temporary memory is kept for the next run. Default: true. */
  readonly memoryArena?: boolean;
  /** Where to write the model as it is after optimization. Default: nowhere. */
  readonly save?: SaveOptions;
  /** More entries, with the keys of onnxruntime_session_options_config_keys.h. */
  readonly config?: Readonly<Record<string, string>>;
}

/** An optimized model on disk, with its weights and their packed forms in a separate file to be mapped. */
interface SaveOptions {
  readonly path: string;
  /** The name of the file of weights, in the folder of `path`. */
  readonly weightsFile: string;
  /** Weights from this size on go to that file. */
  readonly externalBytes: number;
}

/** `SessionOptions` as an object of the C API. */
export class NativeSessionOptions extends Handle {
  constructor(
    private readonly environment: Environment,
    options: SessionOptions,
  ) {
    const { calls } = environment;
    const { api } = calls;
    super('sessionOptions', calls.result(api.createSessionOptions(calls.out), 'create session options'));
    environment.addReference();
    try {
      this.set(options);
    } catch (error) {
      this.release();
      throw error;
    }
  }

  private set(options: SessionOptions): void {
    const { calls } = this.environment;
    const { api } = calls;
    const level = OPTIMIZATION_LEVELS[options.optimization ?? 'all'];
    const action = 'set session options';
    calls.check(api.setIntraOpNumThreads(this.pointer, options.intraOpThreads), action);
    calls.check(api.setInterOpNumThreads(this.pointer, 1), action);
    calls.check(api.setSessionGraphOptimizationLevel(this.pointer, level), action);
    if (options.memoryPattern !== true) calls.check(api.disableMemPattern(this.pointer), action);
    if (options.memoryArena === false) calls.check(api.disableCpuMemArena(this.pointer), action);
    const entries: Record<string, string> = {
      ...spinEntries(options),
      ...(options.save && saveEntries(options.save)),
      ...options.config,
    };
    if (options.save) calls.check(api.setOptimizedModelFilePath(this.pointer, options.save.path), action);
    if (options.externalDataFolder !== undefined) {
      entries['session.model_external_initializers_file_folder_path'] = options.externalDataFolder;
    }
    for (const [key, value] of Object.entries(entries)) {
      calls.check(api.addSessionConfigEntry(this.pointer, key, value), `set the session option ${key}`);
    }
    this.append(options.provider ?? { name: 'cpu' });
  }

  private append(provider: Provider): void {
    if (provider.name === 'cpu') return;
    const { calls } = this.environment;
    const { api } = calls;
    const [keys, values] = [Object.keys(provider.options), Object.values(provider.options)];
    const action = `add the ${provider.name} provider`;
    if (provider.name === 'webgpu') {
      calls.check(api.appendProvider(this.pointer, 'WebGPU', keys, values, keys.length), action);
      return;
    }
    const cuda = calls.result(api.createCudaProviderOptions(calls.out), action);
    withHandle('providerOptions', cuda, api.releaseCudaProviderOptions, () => {
      calls.check(api.updateCudaProviderOptions(cuda, keys, values, keys.length), action);
      calls.check(api.appendCudaProvider(this.pointer, cuda), action);
    });
  }

  protected override free(pointer: Pointer): void {
    this.environment.calls.api.releaseSessionOptions(pointer);
    this.environment.dropReference();
  }
}

function saveEntries({ weightsFile, externalBytes }: SaveOptions): Record<string, string> {
  return {
    'session.optimized_model_external_initializers_file_name': weightsFile,
    'session.optimized_model_external_initializers_min_size_in_bytes': String(externalBytes),
    'session.save_external_prepacked_constant_initializers': '1',
  };
}
