import { type Lock, Mutex, NO_LOCK } from '../async/mutex.js';
import type { Pointer } from '../native/ffi.js';
import { Handle } from '../native/handle.js';
import { Calls } from './calls.js';
import type { Provider } from './provider.js';

/** ONNX Runtime's environment, one for the process. */

/** The lowest severity that ONNX Runtime writes to stderr. */
export type OrtLogLevel = 'verbose' | 'info' | 'warning' | 'error' | 'fatal';
const LOG_LEVELS: readonly OrtLogLevel[] = ['verbose', 'info', 'warning', 'error', 'fatal'];

const ARENA_ALLOCATOR_OFF = 0;
const MEMORY_TYPE_DEFAULT = 0;

/** The environment of this process, which exists while there is a reference to it. */
export class Environment extends Handle {
  private static current: Environment | null = null;

  /** ONNX Runtime's allocator of host memory: aligned to 64 bytes, not zeroed. */
  readonly allocator: Pointer;
  /** The `OrtMemoryInfo` that denotes host memory. */
  readonly hostMemory: Pointer;
  /** By provider. All WebGPU sessions share one context, which only one thread at a time may use, so they need a mutex. */
  readonly locks: Readonly<Record<Provider['name'], Lock>> = {
    cpu: NO_LOCK,
    webgpu: new Mutex(),
    cuda: NO_LOCK,
  };

  /** Returns the environment with a reference that the caller must drop. The log level of the first caller applies. */
  static shared(logLevel: OrtLogLevel): Environment {
    const current = Environment.current;
    if (current !== null) {
      current.addReference();
      return current;
    }
    Environment.current = new Environment(Calls.load(), logLevel);
    return Environment.current;
  }

  private constructor(
    readonly calls: Calls,
    logLevel: OrtLogLevel,
  ) {
    const { api, out } = calls;
    const level = LOG_LEVELS.indexOf(logLevel);
    super('environment', calls.result(api.createEnv(level, 'shoal', out), 'create its environment'));
    this.allocator = calls.result(api.getAllocatorWithDefaultOptions(out), 'find its default allocator');
    this.hostMemory = calls.result(
      api.createCpuMemoryInfo(ARENA_ALLOCATOR_OFF, MEMORY_TYPE_DEFAULT, out),
      'describe host memory',
    );
  }

  protected override free(pointer: Pointer): void {
    Environment.current = null;
    this.calls.api.releaseMemoryInfo(this.hostMemory);
    this.calls.api.releaseEnv(pointer);
  }
}
