import { Cancelled, InternalError } from '../errors.js';
import { NULL, type Pointer } from '../native/ffi.js';
import { Handle, withHandle } from '../native/handle.js';
import { Binding } from './binding.js';
import { type ElementType, elementTypeOf } from './element-type.js';
import type { Environment } from './environment.js';
import type { Provider } from './provider.js';
import type { RunOptions } from './run-options.js';

/** A loaded graph: its inputs and outputs, and its runs. */

/** An input or output of a graph. */
export interface TensorInfo {
  readonly name: string;
  readonly elementType: ElementType;
  /** A fixed size as a number; a symbolic one as its name in the graph, empty if it has none. */
  readonly dims: readonly (number | string)[];
}

/** A loaded graph on one provider. */
export class Session extends Handle {
  readonly inputs: readonly TensorInfo[];
  /** Inputs with a default in the graph ("overridable initializers"). A run without them computes with the default. */
  readonly optionalInputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly environment: Environment;
  private readonly inputNames: ReadonlyMap<string, Uint8Array>;
  private readonly outputNames: ReadonlyMap<string, Uint8Array>;

  /** Use `runtime.openSession()`. */
  constructor(
    environment: Environment,
    pointer: Pointer,
    readonly provider: Provider['name'],
  ) {
    super('session', pointer);
    this.environment = environment;
    environment.addReference();
    try {
      this.inputs = describe(environment, pointer, 'input');
      this.optionalInputs = describe(environment, pointer, 'optional input');
      this.outputs = describe(environment, pointer, 'output');
    } catch (error) {
      this.release();
      throw error;
    }
    this.inputNames = new Map([...this.inputs, ...this.optionalInputs].map(({ name }) => [name, encode(name)]));
    this.outputNames = new Map(this.outputs.map(({ name }) => [name, encode(name)]));
  }

  /** The entry `key` of the model's metadata; null if there is none. */
  metadata(key: string): string | null {
    const { calls, allocator } = this.environment;
    const { api, out } = calls;
    const action = "read the model's metadata";
    const metadata = calls.result(api.sessionGetModelMetadata(this.pointer, out), action);
    return withHandle('metadata', metadata, api.releaseModelMetadata, () =>
      calls.textResult(api.modelMetadataLookup(metadata, allocator, key, out), allocator, action),
    );
  }

  createBinding(): Binding {
    const { calls } = this.environment;
    const pointer = calls.result(calls.api.createIoBinding(this.pointer, calls.out), 'create a binding');
    return new Binding(this, this.environment, pointer);
  }

  /**
   * Runs `work` while holding the lock of the session's device; a device that allows concurrent use has no lock. Binding and running must
   * share one `exclusive` call, because binding copies host inputs to the device. Not reentrant.
   */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    return this.environment.locks[this.provider].run(work);
  }

  /**
   * Runs the graph on a thread of the pool, without blocking the event loop. Runs with separate bindings may be concurrent, unless the
   * session's device has a lock (see `exclusive`). Rejects with `Cancelled` if `options.terminate()` stopped the run, else with `OrtError`.
   */
  run(binding: Binding, options?: RunOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      const { calls } = this.environment;
      const session = this.pointer;
      const runOptions = options?.pointer ?? NULL;
      binding.startRun();
      this.addReference();
      options?.addReference();
      const settle = (error: Error | null, status: Pointer): void => {
        const failed = error !== null || status !== NULL;
        const reason = failed ? this.reason(error, status, options) : null;
        binding.endRun(!failed);
        options?.dropReference();
        this.dropReference();
        if (reason === null) resolve();
        else reject(reason);
      };
      try {
        calls.api.runWithBinding.async(session, runOptions, binding.pointer, settle);
      } catch (error) {
        settle(error instanceof Error ? error : new Error(String(error)), NULL);
      }
    });
  }

  private reason(error: Error | null, status: Pointer, options: RunOptions | undefined): Error {
    if (error !== null) return new InternalError('cannot start a run of a graph', { cause: error });
    const failure = this.environment.calls.failure(status, 'run a graph');
    return options?.terminated === true ? new Cancelled('a run was stopped', { cause: failure }) : failure;
  }

  /** Only for `Binding`: an input's name as a zero-terminated string. */
  inputName(name: string): Uint8Array {
    return this.inputNames.get(name) ?? unknownName(name, 'input', this.inputNames);
  }

  /** Only for `Binding`: an output's name as a zero-terminated string. */
  outputName(name: string): Uint8Array {
    return this.outputNames.get(name) ?? unknownName(name, 'output', this.outputNames);
  }

  protected override free(pointer: Pointer): void {
    const { calls, locks } = this.environment;
    locks[this.provider].runOutside(() => {
      calls.api.releaseSession(pointer);
      this.environment.dropReference();
    });
  }
}

function encode(name: string): Uint8Array {
  return Buffer.from(`${name}\0`);
}

/** Throws for a name that the C API would accept in a binding, to fail in each run. */
function unknownName(name: string, side: 'input' | 'output', known: ReadonlyMap<string, Uint8Array>): never {
  throw new InternalError(`the graph has no ${side} ${name}; it has ${[...known.keys()].join(', ')}`);
}

type Side = 'input' | 'optional input' | 'output';

/** The functions that count, name and describe the inputs or outputs of a graph. */
function readersOf(api: Environment['calls']['api'], side: Side) {
  switch (side) {
    case 'input':
      return [api.sessionGetInputCount, api.sessionGetInputName, api.sessionGetInputTypeInfo] as const;
    case 'optional input':
      return [
        api.sessionGetOptionalInputCount,
        api.sessionGetOptionalInputName,
        api.sessionGetOptionalInputTypeInfo,
      ] as const;
    case 'output':
      return [api.sessionGetOutputCount, api.sessionGetOutputName, api.sessionGetOutputTypeInfo] as const;
  }
}

function describe({ calls, allocator }: Environment, session: Pointer, side: Side): TensorInfo[] {
  const { api, out } = calls;
  const action = `read the ${side}s of a graph`;
  const [getCount, getName, getTypeInfo] = readersOf(api, side);
  return Array.from({ length: calls.result(getCount(session, out), action) }, (_, index) => {
    const name = calls.textResult(getName(session, index, allocator, out), allocator, action) ?? '';
    const typeInfo = calls.result(getTypeInfo(session, index, out), action);
    return withHandle('typeInfo', typeInfo, api.releaseTypeInfo, () => {
      const tensor = calls.result(api.castTypeInfoToTensorInfo(typeInfo, out), action);
      if (tensor === NULL) throw new InternalError(`the ${side} ${name} of a graph is not a tensor`);
      return { name, ...describeTensor(calls, tensor, action) };
    });
  });
}

function describeTensor(calls: Environment['calls'], info: Pointer, action: string): Omit<TensorInfo, 'name'> {
  const { api, out, dims } = calls;
  const elementType = elementTypeOf(calls.intResult(api.getTensorElementType(info, out), action));
  const rank = calls.rankResult(api.getDimensionsCount(info, out), action);
  calls.check(api.getDimensions(info, dims, rank), action);
  const sizes = calls.readShape(rank);
  calls.check(api.getSymbolicDimensions(info, dims, rank), action);
  const names = calls.readTexts(rank);
  return { elementType, dims: sizes.map((size, axis) => (size >= 0 ? size : names[axis]!)) };
}
