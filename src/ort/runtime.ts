import { InternalError } from '../errors.js';
import { callAsync, type Pointer, readCString, readPointer } from '../native/ffi.js';
import { giveBackFreedMemory } from '../native/libc.js';
import { Environment, type OrtLogLevel } from './environment.js';
import { Session } from './session.js';
import { NativeSessionOptions, type SessionOptions } from './session-options.js';

export interface RuntimeOptions {
  /** From what severity on ONNX Runtime writes to stderr; the first runtime of a process decides. Default: `error`. */
  readonly logLevel?: OrtLogLevel;
}

/**
 * Access to ONNX Runtime. All runtimes of a process share one environment, which ends with the last of them and of what was
 * made with them.
 */
export class OrtRuntime {
  private readonly _environment: Environment;
  private released = false;

  /** Throws `Unavailable` if the library cannot be had. */
  static open(options: RuntimeOptions = {}): OrtRuntime {
    return new OrtRuntime(Environment.shared(options.logLevel ?? 'error'));
  }

  private constructor(environment: Environment) {
    this._environment = environment;
  }

  /** For the other classes of the binding. */
  get environment(): Environment {
    if (this.released) throw new InternalError('a runtime was used after its release');
    return this._environment;
  }

  /** Of ONNX Runtime, such as `1.30.0`. */
  get version(): string {
    return this._environment.calls.version;
  }

  /** Names of the execution providers that the library was built with. */
  providers(): string[] {
    const { calls } = this.environment;
    const { api, out, out2 } = calls;
    const list = calls.take(api.getAvailableProviders(out, out2), 'listing its providers');
    const count = calls.takeSecondInt();
    const names = Array.from({ length: count }, (_, index) => readCString(readPointer(list + 8 * index)));
    calls.check(api.releaseAvailableProviders(list, count), 'listing its providers');
    return names;
  }

  /**
   * Loads a graph from a file, or from its bytes, which must not change meanwhile. Works on a thread of the pool. Rejects with
   * `OrtError`.
   */
  async openSession(model: string | Uint8Array, options: SessionOptions): Promise<Session> {
    const { environment } = this;
    const native = new NativeSessionOptions(environment, options);
    try {
      const provider = options.provider?.name ?? 'cpu';
      const create = () => createSession(environment, model, native.pointer);
      const session = new Session(environment, await environment.locks[provider].run(create), provider);
      await giveBackFreedMemory();
      return session;
    } finally {
      native.release();
    }
  }

  /** Ends the use of it. Sessions, values and memory stay as they are. */
  release(): void {
    if (this.released) return;
    this.released = true;
    this._environment.drop();
  }
}

async function createSession(env: Environment, model: string | Uint8Array, options: Pointer): Promise<Pointer> {
  const { api } = env.calls;
  // Not the shared scratch: other calls are made meanwhile.
  const out = new BigUint64Array(1);
  if (typeof model === 'string') {
    const status = await callAsync(api.createSession, env.pointer, model, options, out);
    env.calls.check(status, `loading the model ${model}`);
  } else {
    const status = await callAsync(api.createSessionFromArray, env.pointer, model, model.byteLength, options, out);
    env.calls.check(status, 'loading a model from memory');
  }
  return Number(out[0]);
}
