import { InternalError } from '../errors.js';
import {
  allocateScratch,
  loadLibrary,
  NULL,
  type OrtApi,
  type Pointer,
  readCString,
  readPointer,
  viewMemory,
} from '../native/ffi.js';
import { OrtError } from './ort-error.js';

/** Axes of a tensor. */
const TENSOR_AXES = 32;

/**
 * The functions of ONNX Runtime, and the scratch memory over which they take shapes and give results.
 *
 * A result stays in the scratch only until the next call. So it is taken in the expression that makes the call:
 * `calls.take(calls.api.createX(..., calls.out), 'making x')`.
 */
export class Calls {
  private static loaded: Calls | null = null;

  readonly api: OrtApi;
  readonly version: string;
  /** Where a call writes its result, and where its second one. */
  readonly out: Pointer;
  readonly out2: Pointer;
  /** Where shapes are passed, as int64[]. */
  readonly dims: Pointer;
  private readonly _out: Uint32Array;
  private readonly _dims: BigInt64Array;

  /** Loads the library at the first call; then it stays. Throws `Unavailable` if it cannot be had. */
  static load(): Calls {
    Calls.loaded ??= new Calls();
    return Calls.loaded;
  }

  private constructor() {
    const { api, version } = loadLibrary();
    this.api = api;
    this.version = version;
    this.out = allocateScratch(16 + 8 * TENSOR_AXES);
    this.out2 = this.out + 8;
    this.dims = this.out + 16;
    const scratch = viewMemory(this.out, 16 + 8 * TENSOR_AXES);
    this._out = new Uint32Array(scratch.buffer, 0, 4);
    this._dims = new BigInt64Array(scratch.buffer, 16, TENSOR_AXES);
  }

  /** Throws the `OrtError` of a status that is not success. */
  check(status: Pointer, doing: string): void {
    if (status !== NULL) throw this.failure(status, doing);
  }

  /** The error of a status, which it releases. */
  failure(status: Pointer, doing: string): OrtError {
    const error = new OrtError(doing, this.api.getErrorMessage(status).trim(), this.api.getErrorCode(status));
    this.api.releaseStatus(status);
    return error;
  }

  /** The pointer or size that a call wrote to `out`. */
  take(status: Pointer, doing: string): number {
    if (status !== NULL) throw this.failure(status, doing);
    return this._out[0]! + this._out[1]! * 2 ** 32;
  }

  /** What a call wrote to `out2`. */
  takeSecond(): number {
    return this._out[2]! + this._out[3]! * 2 ** 32;
  }

  /** The `int` that a call wrote to `out`. */
  takeInt(status: Pointer, doing: string): number {
    if (status !== NULL) throw this.failure(status, doing);
    return this._out[0]! | 0;
  }

  /** The `int` that a call wrote to `out2`. */
  takeSecondInt(): number {
    return this._out[2]! | 0;
  }

  /** Text that a call allocated and wrote to `out`; it is freed here. Null where there is none. */
  takeText(status: Pointer, allocator: Pointer, doing: string): string | null {
    const address = this.take(status, doing);
    if (address === NULL) return null;
    const text = readCString(address);
    this.check(this.api.allocatorFree(allocator, address), 'freeing a text');
    return text;
  }

  /** Lays a shape out at `dims`. */
  putShape(shape: readonly number[]): void {
    this.fits(shape.length);
    for (let axis = 0; axis < shape.length; axis += 1) this._dims[axis] = BigInt(shape[axis]!);
  }

  /** The shape that a call wrote to `dims`. */
  takeShape(rank: number): number[] {
    return Array.from(this._dims.subarray(0, rank), Number);
  }

  /** The texts whose addresses a call wrote to `dims`. They stay their owner's. */
  takeTexts(count: number): string[] {
    return Array.from({ length: count }, (_, index) => {
      const address = readPointer(this.dims + 8 * index);
      return address === NULL ? '' : readCString(address);
    });
  }

  /** The rank at `out`, if there is room for such a shape. */
  takeRank(status: Pointer, doing: string): number {
    const rank = this.take(status, doing);
    this.fits(rank);
    return rank;
  }

  private fits(rank: number): void {
    if (rank > TENSOR_AXES) throw new InternalError(`a tensor has ${rank} axes; at most ${TENSOR_AXES} are served`);
  }
}
