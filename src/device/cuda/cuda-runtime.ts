import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InternalError } from '../../errors.js';
import {
  callAsync,
  loadFirstLibrary,
  type NativeFunction,
  type NativeLibrary,
  type Pointer,
} from '../../native/ffi.js';
import { ortLibraryPath } from '../../ort/library.js';

/** Finds out whether CUDA can run here, and copies memory by the CUDA runtime library. */

/** `cudaMemcpyKind` */
const KINDS = { hostToDevice: 1, deviceToHost: 2, deviceToDevice: 3 } as const;
const SUCCESS = 0;
const PROVIDER_FILES = ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'];
const DRIVER = ['libcuda.so.1'];
const RUNTIME = ['libcudart.so.12', 'libcudart.so.13', 'libcudart.so'];
/** Other libraries that the provider links, in the versions of CUDA 12 and 13. */
const LIBRARIES = [
  ['libcublasLt.so.12', 'libcublasLt.so.13'],
  ['libcublas.so.12', 'libcublas.so.13'],
  ['libcurand.so.10'],
  ['libcufft.so.11', 'libcufft.so.12'],
  ['libcudnn.so.9'],
];

/** The remedy if CUDA cannot run. */
export const CUDA_FIX =
  "fetch the provider with ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install, and install NVIDIA's driver, the CUDA 12 runtime libraries (cudart, cublas, cufft, curand) and cuDNN 9 where the system's loader finds them (LD_LIBRARY_PATH), and a GPU that nvidia-smi lists (in a container: a GPU that is passed to it)";

/** Why the CUDA provider cannot run here; null if no obstacle was found. */
export function cudaMissing(): string | null {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `it exists for Linux x64 only, not for ${process.platform} ${process.arch}`;
  }
  const folder = dirname(ortLibraryPath());
  const absent = PROVIDER_FILES.filter((file) => !existsSync(join(folder, file)));
  if (absent.length > 0) return `no ${absent.join(' and ')} beside ONNX Runtime's library`;
  const lacking = [DRIVER, RUNTIME, ...LIBRARIES].filter((names) => loadFirstLibrary(names) === null);
  if (lacking.length > 0) return `the system's loader does not find ${lacking.map((names) => names[0]).join(', ')}`;
  return gpuMissing(loadFirstLibrary(RUNTIME)!);
}

/** Why the CUDA runtime has no usable GPU; null if it has one. @internal exported for tests. */
export function gpuMissing(runtime: NativeLibrary): string | null {
  const count = Int32Array.of(0);
  const status = runtime.function<[Int32Array], number>('cudaGetDeviceCount', 'int', ['void *'])(count);
  if (status !== SUCCESS) {
    const text = runtime.function<[number], string>('cudaGetErrorString', 'str', ['int'])(status);
    return `the CUDA runtime (${runtime.name}) has no usable GPU: ${text} (${status})`;
  }
  return count[0]! > 0 ? null : `the CUDA runtime (${runtime.name}) finds no GPU`;
}

/** The default stream. ONNX Runtime runs on another one, but a run has ended on the device when its promise resolves. */
const DEFAULT_STREAM = 0;

/** Rows of bytes whose starts are `pitchBytes` apart. */
export interface Pitched {
  readonly address: Pointer;
  readonly pitchBytes: number;
}

type Memcpy2D = NativeFunction<[Pointer, number, Pointer, number, number, number, number, Pointer], number>;
type Memcpy = NativeFunction<[Pointer | Uint8Array, Pointer | Uint8Array, number, number], number>;

/** The arguments of `cudaMemcpy2DAsync`: dst, dpitch, src, spitch, width, height, kind, stream. @internal exported for tests. */
export function copyArguments(
  to: Pitched,
  from: Pitched,
  rowBytes: number,
  rows: number,
): [Pointer, number, Pointer, number, number, number, number, Pointer] {
  if (rowBytes > to.pitchBytes || rowBytes > from.pitchBytes) {
    throw new InternalError(
      `cannot copy rows of ${rowBytes} bytes: they overlap at a pitch of ${Math.min(to.pitchBytes, from.pitchBytes)} bytes`,
    );
  }
  return [
    to.address,
    to.pitchBytes,
    from.address,
    from.pitchBytes,
    rowBytes,
    rows,
    KINDS.deviceToDevice,
    DEFAULT_STREAM,
  ];
}

/** Copies on device 0, every thread's default, by the CUDA runtime library that ONNX Runtime's provider uses too. */
export class CudaRuntime {
  private readonly copy2D: Memcpy2D;
  private readonly _upload: Memcpy;
  private readonly _download: Memcpy;
  private readonly synchronize: NativeFunction<[Pointer], number>;
  private readonly errorText: NativeFunction<[number], string>;

  /** Null if the library is not installed. */
  static open(): CudaRuntime | null {
    const library = loadFirstLibrary(RUNTIME);
    return library === null ? null : new CudaRuntime(library);
  }

  /** Throws if the library lacks a function. */
  constructor(library: NativeLibrary) {
    this.copy2D = library.function('cudaMemcpy2DAsync', 'int', [
      'uintptr_t',
      'size_t',
      'uintptr_t',
      'size_t',
      'size_t',
      'size_t',
      'int',
      'uintptr_t',
    ]);
    this._upload = library.function('cudaMemcpy', 'int', ['uintptr_t', 'void *', 'size_t', 'int']);
    this._download = library.function('cudaMemcpy', 'int', ['void *', 'uintptr_t', 'size_t', 'int']);
    this.synchronize = library.function('cudaStreamSynchronize', 'int', ['uintptr_t']);
    this.errorText = library.function('cudaGetErrorString', 'str', ['int']);
  }

  /** Enqueues a copy of rows within the device. It is complete when `finish` resolves. */
  copy(to: Pitched, from: Pitched, rowBytes: number, rows: number): void {
    this.check(this.copy2D(...copyArguments(to, from, rowBytes, rows)), 'copy within the device');
  }

  /** Resolves when all enqueued copies are complete. */
  async finish(): Promise<void> {
    this.check(await callAsync(this.synchronize, DEFAULT_STREAM), 'wait for copies');
  }

  async upload(to: Pointer, bytes: Uint8Array): Promise<void> {
    // V8 keeps small arrays on its heap, where the garbage collector moves them, until their `buffer` is read.
    void bytes.buffer;
    this.check(await callAsync(this._upload, to, bytes, bytes.length, KINDS.hostToDevice), 'copy to the device');
  }

  async download(from: Pointer, into: Uint8Array): Promise<void> {
    void into.buffer;
    this.check(await callAsync(this._download, into, from, into.length, KINDS.deviceToHost), 'copy from the device');
  }

  private check(status: number, action: string): void {
    if (status === SUCCESS) return;
    throw new InternalError(`CUDA cannot ${action}: ${this.errorText(status)} (${status})`);
  }
}
