import type { Pointer } from '../native/ffi.js';
import { Handle, withHandle } from '../native/handle.js';
import type { Environment } from './environment.js';
import type { Provider } from './provider.js';

const OPTIMIZATION_LEVELS = { none: 0, basic: 1, extended: 2, all: 99 } as const;

export interface SessionOptions {
  /** What runs the graph's nodes, as far as it can. Default: the CPU. */
  readonly provider?: Provider;
  /** Threads that share one operator's work. */
  readonly intraOpThreads: number;
  /** Whether those threads spin while they wait: faster between operators, but it burns a core each. */
  readonly allowSpinning: boolean;
  /** Folder of external weights, for a model that is given as bytes. Default: the current folder. */
  readonly externalDataFolder?: string;
  /** How far the graph is rewritten at loading. Default: `all`. */
  readonly optimization?: keyof typeof OPTIMIZATION_LEVELS;
  /**
   * Remembers the layout of temporary memory for each combination of input shapes that was ever seen. Never forgotten, so only
   * for graphs whose shapes repeat. Default: false.
   */
  readonly memoryPattern?: boolean;
  /** Keeps freed temporary memory for the next run. Default: true. */
  readonly memoryArena?: boolean;
  /** Further entries, as in onnxruntime_session_options_config_keys.h. */
  readonly config?: Readonly<Record<string, string>>;
}

/** `SessionOptions` as the C API takes them. */
export class NativeSessionOptions extends Handle {
  constructor(
    private readonly environment: Environment,
    options: SessionOptions,
  ) {
    const { calls } = environment;
    const { api } = calls;
    super('sessionOptions', calls.take(api.createSessionOptions(calls.out), 'making session options'));
    environment.hold();
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
    const doing = 'setting session options';
    calls.check(api.setIntraOpNumThreads(this.pointer, options.intraOpThreads), doing);
    calls.check(api.setInterOpNumThreads(this.pointer, 1), doing);
    calls.check(api.setSessionGraphOptimizationLevel(this.pointer, level), doing);
    if (options.memoryPattern !== true) calls.check(api.disableMemPattern(this.pointer), doing);
    if (options.memoryArena === false) calls.check(api.disableCpuMemArena(this.pointer), doing);
    const entries: Record<string, string> = {
      'session.intra_op.allow_spinning': options.allowSpinning ? '1' : '0',
      ...options.config,
    };
    if (options.externalDataFolder !== undefined) {
      entries['session.model_external_initializers_file_folder_path'] = options.externalDataFolder;
    }
    for (const [key, value] of Object.entries(entries)) {
      calls.check(api.addSessionConfigEntry(this.pointer, key, value), `setting the session option ${key}`);
    }
    this.append(options.provider ?? { name: 'cpu' });
  }

  private append(provider: Provider): void {
    if (provider.name === 'cpu') return;
    const { calls } = this.environment;
    const { api } = calls;
    const [keys, values] = [Object.keys(provider.options), Object.values(provider.options)];
    const doing = `adding the ${provider.name} provider`;
    if (provider.name === 'webgpu') {
      calls.check(api.appendProvider(this.pointer, 'WebGPU', keys, values, keys.length), doing);
      return;
    }
    const cuda = calls.take(api.createCudaProviderOptions(calls.out), doing);
    withHandle('providerOptions', cuda, api.releaseCudaProviderOptions, () => {
      calls.check(api.updateCudaProviderOptions(cuda, keys, values, keys.length), doing);
      calls.check(api.appendCudaProvider(this.pointer, cuda), doing);
    });
  }

  protected override free(pointer: Pointer): void {
    this.environment.calls.api.releaseSessionOptions(pointer);
    this.environment.drop();
  }
}
