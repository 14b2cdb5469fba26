import { Cancelled, InternalError } from '../errors.js';
import { NULL, type Pointer } from '../native/ffi.js';
import { Handle, withHandle } from '../native/handle.js';
import { Binding } from './binding.js';
import { type ElementType, elementTypeOf } from './element-type.js';
import type { Environment } from './environment.js';
import type { Provider } from './provider.js';
import type { RunOptions } from './run-options.js';

/** An input or output of a graph. */
export interface TensorInfo {
  readonly name: string;
  readonly elementType: ElementType;
  /** A number where the size is fixed, else the name that the graph has for it (empty if it has none). */
  readonly dims: readonly (number | string)[];
}

/** A loaded graph. */
export class Session extends Handle {
  readonly inputs: readonly TensorInfo[];
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
    environment.hold();
    try {
      this.inputs = describe(environment, pointer, 'input');
      this.outputs = describe(environment, pointer, 'output');
    } catch (error) {
      this.release();
      throw error;
    }
    this.inputNames = new Map(this.inputs.map(({ name }) => [name, encode(name)]));
    this.outputNames = new Map(this.outputs.map(({ name }) => [name, encode(name)]));
  }

  /** A text that the model carries under `key`; null if there is none. */
  metadata(key: string): string | null {
    const { calls, allocator } = this.environment;
    const { api, out } = calls;
    const doing = "reading the model's metadata";
    const metadata = calls.take(api.sessionGetModelMetadata(this.pointer, out), doing);
    return withHandle('metadata', metadata, api.releaseModelMetadata, () =>
      calls.takeText(api.modelMetadataLookup(metadata, allocator, key, out), allocator, doing),
    );
  }

  createBinding(): Binding {
    const { calls } = this.environment;
    const pointer = calls.take(calls.api.createIoBinding(this.pointer, calls.out), 'making a binding');
    return new Binding(this, this.environment, pointer);
  }

  /**
   * Runs `work` when nobody else uses the session's device, if only one may at a time. What is bound and run on such a device must be in one
   * turn: where inputs have to go to the device they are copied when they are bound. No turn may be taken within a turn.
   */
  turn<T>(work: () => Promise<T>): Promise<T> {
    return this.environment.locks[this.provider].run(work);
  }

  /**
   * Runs the graph on a thread of the pool; the event loop goes on. Several runs with bindings of their own may be on their
   * way at once, unless the session's device takes them by `turn`. Rejects with `Cancelled` if `options.terminate()` stopped it, else with `OrtError`.
   */
  run(binding: Binding, options?: RunOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      const { calls } = this.environment;
      const session = this.pointer;
      const runOptions = options?.pointer ?? NULL;
      binding.begin();
      this.hold();
      options?.hold();
      const settle = (error: Error | null, status: Pointer): void => {
        const failed = error !== null || status !== NULL;
        const reason = failed ? this.reason(error, status, options) : null;
        binding.end(!failed);
        options?.drop();
        this.drop();
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
    if (error !== null) return new InternalError('a run could not be started', { cause: error });
    const failure = this.environment.calls.failure(status, 'running a graph');
    return options?.terminated === true ? new Cancelled('a run was stopped', { cause: failure }) : failure;
  }

  /** An input's name as the C API takes it; for `Binding`. */
  inputName(name: string): Uint8Array {
    return this.inputNames.get(name) ?? unknownName(name, 'input', this.inputNames);
  }

  /** An output's name as the C API takes it; for `Binding`. */
  outputName(name: string): Uint8Array {
    return this.outputNames.get(name) ?? unknownName(name, 'output', this.outputNames);
  }

  protected override free(pointer: Pointer): void {
    const { calls, locks } = this.environment;
    locks[this.provider].runOutside(() => {
      calls.api.releaseSession(pointer);
      this.environment.drop();
    });
  }
}

function encode(name: string): Uint8Array {
  return Buffer.from(`${name}\0`);
}

/** The C API would let a wrong name into the binding, and then fail each run. */
function unknownName(name: string, side: 'input' | 'output', known: ReadonlyMap<string, Uint8Array>): never {
  throw new InternalError(`the graph has no ${side} ${name}; it has ${[...known.keys()].join(', ')}`);
}

function describe({ calls, allocator }: Environment, session: Pointer, side: 'input' | 'output'): TensorInfo[] {
  const { api, out } = calls;
  const doing = `reading the ${side}s of a graph`;
  const [count, name, type] =
    side === 'input'
      ? [api.sessionGetInputCount, api.sessionGetInputName, api.sessionGetInputTypeInfo]
      : [api.sessionGetOutputCount, api.sessionGetOutputName, api.sessionGetOutputTypeInfo];
  return Array.from({ length: calls.take(count(session, out), doing) }, (_, index) => {
    const itsName = calls.takeText(name(session, index, allocator, out), allocator, doing) ?? '';
    const itsType = calls.take(type(session, index, out), doing);
    return withHandle('typeInfo', itsType, api.releaseTypeInfo, () => {
      const tensor = calls.take(api.castTypeInfoToTensorInfo(itsType, out), doing);
      if (tensor === NULL) throw new InternalError(`the ${side} ${itsName} of a graph is no tensor`);
      return { name: itsName, ...describeTensor(calls, tensor, doing) };
    });
  });
}

function describeTensor(calls: Environment['calls'], info: Pointer, doing: string): Omit<TensorInfo, 'name'> {
  const { api, out, dims } = calls;
  const elementType = elementTypeOf(calls.takeInt(api.getTensorElementType(info, out), doing));
  const rank = calls.takeRank(api.getDimensionsCount(info, out), doing);
  calls.check(api.getDimensions(info, dims, rank), doing);
  const sizes = calls.takeShape(rank);
  calls.check(api.getSymbolicDimensions(info, dims, rank), doing);
  const names = calls.takeTexts(rank);
  return { elementType, dims: sizes.map((size, axis) => (size >= 0 ? size : names[axis]!)) };
}
