import { NULL, type Pointer, viewMemory } from '../../../src/native/ffi.js';
import type { OrtApi } from '../../../src/ort/library.js';
import type { OrtRuntime } from '../../../src/ort/runtime.js';
import { CudaLibrary } from './cuda-library.js';
import { DeviceHeap } from './device-heap.js';

/**
 * A stand-in for ONNX Runtime's CUDA provider, in the functions of the C API that make, describe and allocate it. Sessions run on the CPU, over
 * the memory of the stand-in for the GPU. It refuses what onnxruntime_c_api.h forbids, and runs that begin while copies are pending, because the
 * provider's stream does not wait for the default stream.
 */

const DEVICE_ALLOCATOR = 0;
const MEMORY_TYPE_DEFAULT = 0;
const INVALID_ARGUMENT = 2;
const FAIL = 1;
/** Keys of `OrtCUDAProviderOptionsV2`, with the values that the provider accepts where it names them. */
const OPTIONS: Record<string, readonly string[] | null> = {
  device_id: null,
  gpu_mem_limit: null,
  arena_extend_strategy: ['kNextPowerOfTwo', 'kSameAsRequested'],
  cudnn_conv_algo_search: ['DEFAULT', 'HEURISTIC', 'EXHAUSTIVE'],
  do_copy_in_default_stream: ['0', '1'],
  enable_cuda_graph: ['0', '1'],
};

type Mutable = { -readonly [Name in keyof OrtApi]: OrtApi[Name] };
type Replacements = { [Name in keyof OrtApi]?: (...args: never[]) => unknown };

export class CudaProvider {
  readonly heap: DeviceHeap;
  readonly library: CudaLibrary;
  /** The calls of both libraries in their order, since the last `takeCalls`. */
  private calls: string[] = [];
  private readonly places = new Set<Pointer>();
  private readonly allocators = new Set<Pointer>();
  private readonly options = new Set<Pointer>();
  private readonly statuses = new Map<Pointer, { code: number; message: string }>();
  private readonly tensors = new Map<Pointer, string>();
  private readonly real: OrtApi;
  private handles = 16;

  constructor(private readonly runtime: OrtRuntime) {
    const { calls, allocator } = runtime.environment;
    this.real = { ...calls.api };
    this.heap = new DeviceHeap({
      allocate: (bytes) => calls.result(this.real.allocatorAlloc(allocator, bytes, calls.out), 'stand in for a GPU'),
      free: (address) => calls.check(this.real.allocatorFree(allocator, address), 'stand in for a GPU'),
    });
    this.library = new CudaLibrary(this.heap, (call) => this.calls.push(call));
    this.replace({
      ...this.optionFunctions(),
      ...this.allocatorFunctions(),
      ...this.statusFunctions(),
      ...this.tensorFunctions(),
    });
  }

  takeCalls(): string[] {
    return this.calls.splice(0);
  }

  /** What is not released: an empty list if all is well. */
  leaks(): string[] {
    const counts = {
      bytes: this.heap.usedBytes,
      places: this.places.size,
      allocators: this.allocators.size,
      options: this.options.size,
      statuses: this.statuses.size,
      copies: this.library.pendingCopies,
    };
    return Object.entries(counts).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what}`]));
  }

  /** Gives the runtime its own functions back. */
  remove(): void {
    Object.assign(this.runtime.environment.calls.api, this.real);
  }

  private replace(functions: Replacements): void {
    const api = this.runtime.environment.calls.api as Mutable;
    for (const [name, replacement] of Object.entries(functions)) {
      const call = replacement as (...args: unknown[]) => unknown;
      const async = (...args: unknown[]) => {
        const done = args.pop() as (error: null, result: unknown) => void;
        setImmediate(() => done(null, call(...args)));
      };
      Object.assign(api, { [name]: Object.assign(call, { async }) });
    }
  }

  private optionFunctions(): Replacements {
    return {
      createCudaProviderOptions: (out: Pointer) => this.give(out, this.options),
      updateCudaProviderOptions: (options: Pointer, keys: string[], values: string[], count: number) => {
        const known = keys.every((key, i) => key in OPTIONS && OPTIONS[key]?.includes(values[i]!) !== false);
        const right = this.options.has(options) && keys.length === count && values.length === count && known;
        return right ? NULL : this.fail(INVALID_ARGUMENT, `wrong provider options ${keys} = ${values} (${count})`);
      },
      releaseCudaProviderOptions: (options: Pointer) => void this.options.delete(options),
      appendCudaProvider: (session: Pointer, options: Pointer) =>
        session !== NULL && this.options.has(options) ? NULL : this.fail(INVALID_ARGUMENT, 'no such provider options'),
    };
  }

  private allocatorFunctions(): Replacements {
    const { real } = this;
    return {
      createMemoryInfo: (name: string, allocator: number, id: number, type: number, out: Pointer) => {
        if (name !== 'Cuda') return real.createMemoryInfo(name, allocator, id, type, out);
        if (allocator !== DEVICE_ALLOCATOR || id !== 0 || type !== MEMORY_TYPE_DEFAULT) {
          return this.fail(INVALID_ARGUMENT, `no CUDA memory of allocator ${allocator}, device ${id}, type ${type}`);
        }
        const status = real.createMemoryInfo('Cpu', allocator, id, type, out);
        this.places.add(pointerAt(out));
        return status;
      },
      releaseMemoryInfo: (place: Pointer) => {
        this.places.delete(place);
        real.releaseMemoryInfo(place);
      },
      createAllocator: (session: Pointer, place: Pointer, out: Pointer) =>
        this.places.has(place) ? this.give(out, this.allocators) : real.createAllocator(session, place, out),
      releaseAllocator: (allocator: Pointer) => {
        if (!this.allocators.delete(allocator)) real.releaseAllocator(allocator);
      },
      allocatorAlloc: (allocator: Pointer, bytes: number, out: Pointer) => {
        if (!this.allocators.has(allocator)) return real.allocatorAlloc(allocator, bytes, out);
        const address = this.heap.allocate(bytes);
        if (address === null) return this.fail(FAIL, `Failed to allocate memory for requested buffer of size ${bytes}`);
        return write(out, address);
      },
      allocatorFree: (allocator: Pointer, address: Pointer) => {
        if (!this.allocators.has(allocator)) return real.allocatorFree(allocator, address);
        return this.heap.free(address) ? NULL : this.fail(INVALID_ARGUMENT, 'memory was freed that is none');
      },
    };
  }

  private statusFunctions(): Replacements {
    const { real } = this;
    return {
      getErrorMessage: (status: Pointer) => this.statuses.get(status)?.message ?? real.getErrorMessage(status),
      getErrorCode: (status: Pointer) => this.statuses.get(status)?.code ?? real.getErrorCode(status),
      releaseStatus: (status: Pointer) => {
        if (!this.statuses.delete(status)) real.releaseStatus(status);
      },
    };
  }

  private tensorFunctions(): Replacements {
    const { real } = this;
    const createTensor = real.createTensorWithDataAsOrtValue;
    return {
      createTensorWithDataAsOrtValue: (...args: Parameters<typeof createTensor>) => {
        const [place, address, bytes, dims, rank, type, out] = args;
        if (this.places.has(place) && bytes > 0 && !this.heap.has(address, bytes)) {
          return this.fail(INVALID_ARGUMENT, `${bytes} bytes from ${this.heap.name(address)} are no CUDA memory`);
        }
        const status = createTensor(...args);
        const shape = new BigInt64Array(viewMemory(dims, 8 * rank).slice().buffer);
        if (status === NULL) this.tensors.set(pointerAt(out), `${type}[${shape}] at ${this.heap.name(address)}`);
        return status;
      },
      bindInput: (binding: Pointer, name: Uint8Array, value: Pointer) => {
        this.calls.push(`BindInput(${textOf(name)}, ${this.tensors.get(value)})`);
        return real.bindInput(binding, name, value);
      },
      bindOutput: (binding: Pointer, name: Uint8Array, value: Pointer) => {
        this.calls.push(`BindOutput(${textOf(name)}, ${this.tensors.get(value)})`);
        return real.bindOutput(binding, name, value);
      },
      runWithBinding: (session: Pointer, options: Pointer, binding: Pointer) => {
        this.calls.push('RunWithBinding()');
        if (this.library.pendingCopies > 0) return this.fail(FAIL, 'a run began before the copies were complete');
        return real.runWithBinding(session, options, binding);
      },
    };
  }

  private give(out: Pointer, into: Set<Pointer>): Pointer {
    this.handles += 16;
    into.add(this.handles);
    return write(out, this.handles);
  }

  private fail(code: number, message: string): Pointer {
    this.handles += 16;
    this.statuses.set(this.handles, { code, message });
    return this.handles;
  }
}

function write(out: Pointer, value: number): Pointer {
  new BigUint64Array(viewMemory(out, 8).buffer, 0, 1)[0] = BigInt(value);
  return NULL;
}

function pointerAt(out: Pointer): Pointer {
  return Number(new BigUint64Array(viewMemory(out, 8).buffer, 0, 1)[0]);
}

function textOf(name: Uint8Array): string {
  return Buffer.from(name).toString().replace(/\0.*$/, '');
}
