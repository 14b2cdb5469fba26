import { InternalError } from '../errors.js';
import { callAsync, type Pointer, readCString, readPointer } from '../native/ffi.js';
import { collapseSince, privateMemory } from '../native/huge-pages.js';
import { trimFreedMemory } from '../native/libc.js';
import { Environment, type OrtLogLevel } from './environment.js';
import { Session } from './session.js';
import { NativeSessionOptions, type SessionOptions } from './session-options.js';

/** The entry point to ONNX Runtime: version, providers, opening a session. */

export interface RuntimeOptions {
  /** The lowest severity that ONNX Runtime writes to stderr. Only the first runtime of a process sets it. Default: `error`. */
  readonly logLevel?: OrtLogLevel;
}

/**
 * Access to ONNX Runtime. All runtimes of a process share one environment, which exists until all of them, and all objects made with them,
 * are released.
 */
export class OrtRuntime {
  private readonly _environment: Environment;
  private released = false;

  /** Throws `Unavailable` if the library cannot be loaded. */
  static open(options: RuntimeOptions = {}): OrtRuntime {
    return new OrtRuntime(Environment.shared(options.logLevel ?? 'error'));
  }

  private constructor(environment: Environment) {
    this._environment = environment;
  }

  /** For the other classes of `src/ort`. */
  get environment(): Environment {
    if (this.released) throw new InternalError('a runtime was used after its release');
    return this._environment;
  }

  /** ONNX Runtime's version, such as `1.30.0`. */
  get version(): string {
    return this._environment.calls.version;
  }

  /** Names of the execution providers that the library was built with. */
  providers(): string[] {
    const { calls } = this.environment;
    const { api, out, out2 } = calls;
    const list = calls.result(api.getAvailableProviders(out, out2), 'list its providers');
    const count = calls.secondIntResult();
    const names = Array.from({ length: count }, (_, index) => readCString(readPointer(list + 8 * index)));
    calls.check(api.releaseAvailableProviders(list, count), 'list its providers');
    return names;
  }

  /** Loads a graph, on a thread of the pool, from a file or from bytes that must not change during the call. Rejects with `OrtError`. */
  async openSession(model: string | Uint8Array, options: SessionOptions): Promise<Session> {
    const { environment } = this;
    const native = new NativeSessionOptions(environment, options);
    try {
      const provider = options.provider?.name ?? 'cpu';
      const create = () => createSession(environment, model, native.pointer);
      const before = await privateMemory();
      const session = new Session(environment, await environment.locks[provider].run(create), provider);
      await trimFreedMemory();
      // The weights, in the form in which the kernels of the CPU read them.
      if (provider === 'cpu') await collapseSince(before);
      return session;
    } finally {
      native.release();
    }
  }

  /** Releases the runtime. Sessions, values and memory made with it stay usable. Idempotent. */
  release(): void {
    if (this.released) return;
    this.released = true;
    this._environment.dropReference();
  }
}

async function createSession(env: Environment, model: string | Uint8Array, options: Pointer): Promise<Pointer> {
  const { api } = env.calls;
  // The shared scratch memory would be overwritten by calls that are made during this one.
  const out = new BigUint64Array(1);
  if (typeof model === 'string') {
    const status = await callAsync(api.createSession, env.pointer, model, options, out);
    env.calls.check(status, `load the model ${model}`);
  } else {
    const status = await callAsync(api.createSessionFromArray, env.pointer, model, model.byteLength, options, out);
    env.calls.check(status, 'load a model from memory');
  }
  return Number(out[0]);
}
