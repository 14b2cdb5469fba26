import { type NativeFunction, type NativeLibrary, type Pointer, viewMemory } from '../../../src/native/ffi.js';
import type { DeviceHeap } from './device-heap.js';

/**
 * A stand-in for the CUDA runtime library over host memory. It refuses what cuda_runtime_api.h forbids, and is as asynchronous as a GPU may
 * be: a copy takes effect only when its stream is synchronized.
 */

/** `cudaError_t` */
const ERRORS = {
  success: 0,
  invalidValue: 1,
  invalidPitch: 12,
  invalidDirection: 21,
  invalidHandle: 400,
} as const;
const KINDS = ['hostToHost', 'hostToDevice', 'deviceToHost', 'deviceToDevice', 'default'] as const;
const DEFAULT_STREAM = 0;
/** `cudaDeviceProp.memPitch` of NVIDIA's GPUs. */
const MAX_PITCH_BYTES = 2 ** 31 - 1;

/** The declarations of cuda_runtime_api.h: the types of the result and of each argument. */
const DECLARATIONS: Record<string, readonly string[]> = {
  // (void *dst, size_t dpitch, const void *src, size_t spitch, size_t width, size_t height, enum cudaMemcpyKind, cudaStream_t)
  cudaMemcpy2DAsync: ['enum', 'pointer', 'size', 'pointer', 'size', 'size', 'size', 'enum', 'pointer'],
  // (void *dst, const void *src, size_t count, enum cudaMemcpyKind)
  cudaMemcpy: ['enum', 'pointer', 'pointer', 'size', 'enum'],
  // (cudaStream_t stream)
  cudaStreamSynchronize: ['enum', 'pointer'],
  // (cudaError_t error)
  cudaGetErrorString: ['text', 'enum'],
};
/** The types by which a declaration may be called. */
const CALLED_AS: Record<string, readonly string[]> = {
  enum: ['int'],
  pointer: ['uintptr_t', 'void *'],
  size: ['size_t'],
  text: ['str'],
};

type Argument = number | Uint8Array;

interface Copy2D {
  readonly to: Pointer;
  readonly toPitch: number;
  readonly from: Pointer;
  readonly fromPitch: number;
  readonly width: number;
  readonly height: number;
}

export class CudaLibrary implements NativeLibrary {
  readonly name = 'libcudart.so (stand-in)';
  /** The calls since the last `takeCalls`, with addresses as allocations and offsets. */
  private calls: string[] = [];
  /** Calls that were refused. */
  readonly refusals: string[] = [];
  /** Copies that no synchronization has made effective. */
  private readonly stream: Copy2D[] = [];
  /** Where set, this call fails with the status, once. */
  failing: { readonly call: string; readonly status: number } | null = null;

  constructor(
    private readonly heap: DeviceHeap,
    /** Gets the calls too, to have those of several libraries in one order. */
    private readonly onCall: (call: string) => void = () => {},
  ) {}

  get pendingCopies(): number {
    return this.stream.length;
  }

  takeCalls(): string[] {
    return this.calls.splice(0);
  }

  /** Throws for a function that the header does not declare, or declares otherwise. */
  function<A extends readonly unknown[], R>(name: string, result: string, parameters: string[]): NativeFunction<A, R> {
    const declared = DECLARATIONS[name];
    const called = [result, ...parameters];
    if (declared?.length !== called.length || declared.some((type, i) => !CALLED_AS[type]!.includes(called[i]!))) {
      throw new Error(`the header declares ${name} as ${declared}, not as ${called}`);
    }
    const call = (...args: Argument[]): number | string => this.call(name, args);
    const async = (...args: [...Argument[], (error: Error | null, result: unknown) => void]) => {
      const done = args.pop() as (error: Error | null, result: unknown) => void;
      setImmediate(() => done(null, this.call(name, args as Argument[])));
    };
    return Object.assign(call, { async }) as unknown as NativeFunction<A, R>;
  }

  private call(name: string, args: Argument[]): number | string {
    if (name === 'cudaGetErrorString') return `error ${args[0]}`;
    this.record(name, args);
    const status = this.statusOf(name, args);
    if (status !== ERRORS.success) this.refusals.push(`${name}: ${status}`);
    return status;
  }

  private statusOf(name: string, args: Argument[]): number {
    if (this.failing?.call === name) {
      const { status } = this.failing;
      this.failing = null;
      return status;
    }
    if (name === 'cudaMemcpy2DAsync') return this.copy2D(args as number[]);
    if (name === 'cudaMemcpy') return this.copy(args[0]!, args[1]!, args[2] as number, args[3] as number);
    if (args[0] !== DEFAULT_STREAM) return ERRORS.invalidHandle;
    this.drain();
    return ERRORS.success;
  }

  private copy2D([to, toPitch, from, fromPitch, width, height, kind, stream]: number[]): number {
    const numbers = [to!, toPitch!, from!, fromPitch!, width!, height!];
    if (!numbers.every((number) => Number.isSafeInteger(number) && number >= 0)) return ERRORS.invalidValue;
    if (width! > toPitch! || width! > fromPitch!) return ERRORS.invalidPitch;
    if (Math.max(toPitch!, fromPitch!) > MAX_PITCH_BYTES) return ERRORS.invalidPitch;
    if (KINDS[kind!] !== 'deviceToDevice') return ERRORS.invalidDirection;
    if (stream !== DEFAULT_STREAM) return ERRORS.invalidHandle;
    if (width === 0 || height === 0) return ERRORS.success;
    const span = (pitch: number) => (height! - 1) * pitch + width!;
    const [toSpan, fromSpan] = [span(toPitch!), span(fromPitch!)];
    if (!this.heap.has(to!, toSpan) || !this.heap.has(from!, fromSpan)) return ERRORS.invalidValue;
    const copy = { to: to!, toPitch: toPitch!, from: from!, fromPitch: fromPitch!, width: width!, height: height! };
    if (rowsOverlap(copy)) return ERRORS.invalidValue;
    this.stream.push(copy);
    return ERRORS.success;
  }

  /** `cudaMemcpy` uses the default stream: the copies before it are complete when it begins. */
  private copy(to: Argument, from: Argument, count: number, kind: number): number {
    const bytesOf = (side: Argument, onHost: boolean): Uint8Array | null => {
      if (typeof side === 'number') return !onHost && this.heap.has(side, count) ? viewMemory(side, count) : null;
      return onHost && side.length >= count ? side.subarray(0, count) : null;
    };
    if (kind !== 1 && kind !== 2) return ERRORS.invalidDirection;
    const [target, source] = [bytesOf(to, kind === 2), bytesOf(from, kind === 1)];
    if (target === null || source === null) return ERRORS.invalidValue;
    this.drain();
    target.set(source);
    return ERRORS.success;
  }

  private drain(): void {
    for (const { to, toPitch, from, fromPitch, width, height } of this.stream.splice(0)) {
      for (let row = 0; row < height; row += 1) {
        viewMemory(to + row * toPitch, width).set(viewMemory(from + row * fromPitch, width));
      }
    }
  }

  private record(name: string, args: Argument[]): void {
    const pointers = name === 'cudaMemcpy2DAsync' ? [0, 2] : name === 'cudaMemcpy' ? [0, 1] : [];
    const kind = { cudaMemcpy2DAsync: 6, cudaMemcpy: 3 }[name];
    const texts = args.map((arg, i) => {
      if (typeof arg !== 'number') return 'host';
      if (pointers.includes(i)) return this.heap.name(arg);
      return i === kind ? (KINDS[arg] ?? String(arg)) : String(arg);
    });
    const text = `${name}(${texts.join(', ')})`;
    this.calls.push(text);
    this.onCall(text);
  }
}

/** Whether a byte would be read and written, which the header forbids. */
function rowsOverlap({ to, toPitch, from, fromPitch, width, height }: Copy2D): boolean {
  for (let a = 0; a < height; a += 1) {
    for (let b = 0; b < height; b += 1) {
      const distance = to + a * toPitch - (from + b * fromPitch);
      if (Math.abs(distance) < width) return true;
    }
  }
  return false;
}
