import { type Lock, Mutex, NO_LOCK } from '../async/mutex.js';
import type { Pointer } from '../native/ffi.js';
import { Handle } from '../native/handle.js';
import { Calls } from './calls.js';
import type { Provider } from './provider.js';

/** From what severity on ONNX Runtime writes to stderr. */
export type OrtLogLevel = 'verbose' | 'info' | 'warning' | 'error' | 'fatal';
const LOG_LEVELS: readonly OrtLogLevel[] = ['verbose', 'info', 'warning', 'error', 'fatal'];

const ARENA_ALLOCATOR_OFF = 0;
const MEMORY_TYPE_DEFAULT = 0;

/** ONNX Runtime's environment: one for the process, alive as long as somebody holds it. */
export class Environment extends Handle {
  private static current: Environment | null = null;

  /** ONNX Runtime's allocator of host memory: aligned to 64 bytes, not zeroed. */
  readonly allocator: Pointer;
  /** Says "host memory" to calls that ask where a tensor is. */
  readonly hostMemory: Pointer;
  /** All that touches a WebGPU device, whatever session, has one context in the provider, which no two threads may enter at once. */
  readonly locks: Readonly<Record<Provider['name'], Lock>> = {
    cpu: NO_LOCK,
    webgpu: new Mutex(),
    cuda: NO_LOCK,
  };

  /** The environment of the process, held for the caller, who must `drop` it. Only the first caller's log level counts. */
  static shared(logLevel: OrtLogLevel): Environment {
    const current = Environment.current;
    if (current !== null) {
      current.hold();
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
    super('environment', calls.take(api.createEnv(level, 'shoal', out), 'making its environment'));
    this.allocator = calls.take(api.getAllocatorWithDefaultOptions(out), 'finding its allocator');
    this.hostMemory = calls.take(
      api.createCpuMemoryInfo(ARENA_ALLOCATOR_OFF, MEMORY_TYPE_DEFAULT, out),
      'describing host memory',
    );
  }

  protected override free(pointer: Pointer): void {
    Environment.current = null;
    this.calls.api.releaseMemoryInfo(this.hostMemory);
    this.calls.api.releaseEnv(pointer);
  }
}
