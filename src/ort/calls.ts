import { InternalError } from '../errors.js';
import { allocateScratch, NULL, type Pointer, readCString, readPointer, viewMemory } from '../native/ffi.js';
import { loadOrtLibrary, type OrtApi } from './library.js';
import { OrtError } from './ort-error.js';

// The most axes of a tensor.
const TENSOR_AXES = 32;

/**
 * ONNX Runtime's functions, scratch memory for their results, and the conversion of failed statuses to errors.
 *
 * The next call overwrites the scratch memory, so a result is read in the expression that makes the call:
 * `calls.result(calls.api.createX(..., calls.out), 'create an x')`. The second argument of each method completes the sentence
 * "ONNX Runtime cannot ...".
 */
export class Calls {
  private static loaded: Calls | null = null;

  readonly api: OrtApi;
  readonly version: string;
  /** Scratch addresses to which a call writes its first and its second result. */
  readonly out: Pointer;
  readonly out2: Pointer;
  /** Scratch address of an int64[] with room for a shape. */
  readonly dims: Pointer;
  private readonly _out: Uint32Array;
  private readonly _dims: BigInt64Array;

  /** Loads the library once for the process. Throws `Unavailable` if it cannot be loaded. */
  static load(): Calls {
    Calls.loaded ??= new Calls();
    return Calls.loaded;
  }

  private constructor() {
    const { api, version } = loadOrtLibrary();
    this.api = api;
    this.version = version;
    this.out = allocateScratch(16 + 8 * TENSOR_AXES);
    this.out2 = this.out + 8;
    this.dims = this.out + 16;
    const scratch = viewMemory(this.out, 16 + 8 * TENSOR_AXES);
    this._out = new Uint32Array(scratch.buffer, 0, 4);
    this._dims = new BigInt64Array(scratch.buffer, 16, TENSOR_AXES);
  }

  /** Throws `OrtError` unless the status is success. */
  check(status: Pointer, action: string): void {
    if (status !== NULL) throw this.failure(status, action);
  }

  /** Converts a failed status to an error, and releases the status. */
  failure(status: Pointer, action: string): OrtError {
    const error = new OrtError(action, this.api.getErrorMessage(status).trim(), this.api.getErrorCode(status));
    this.api.releaseStatus(status);
    return error;
  }

  /** Checks the status and reads the pointer or size in `out`. */
  result(status: Pointer, action: string): number {
    if (status !== NULL) throw this.failure(status, action);
    return this._out[0]! + this._out[1]! * 2 ** 32;
  }

  /** Reads the pointer or size in `out2`. */
  secondResult(): number {
    return this._out[2]! + this._out[3]! * 2 ** 32;
  }

  /** Checks the status and reads the `int` in `out`. */
  intResult(status: Pointer, action: string): number {
    if (status !== NULL) throw this.failure(status, action);
    return this._out[0]! | 0;
  }

  /** Reads the `int` in `out2`. */
  secondIntResult(): number {
    return this._out[2]! | 0;
  }

  /** Checks the status, reads the string that the call allocated at `out`, and frees it. Null if there is none. */
  textResult(status: Pointer, allocator: Pointer, action: string): string | null {
    const address = this.result(status, action);
    if (address === NULL) return null;
    const text = readCString(address);
    this.check(this.api.allocatorFree(allocator, address), 'free a string');
    return text;
  }

  /** Checks the status and reads the rank in `out`. Throws `InternalError` if `dims` has no room for such a shape. */
  rankResult(status: Pointer, action: string): number {
    const rank = this.result(status, action);
    this.checkRank(rank);
    return rank;
  }

  /** Writes a shape to `dims`. */
  writeShape(shape: readonly number[]): void {
    this.checkRank(shape.length);
    for (let axis = 0; axis < shape.length; axis += 1) this._dims[axis] = BigInt(shape[axis]!);
  }

  /** Reads the shape in `dims`. */
  readShape(rank: number): number[] {
    return Array.from(this._dims.subarray(0, rank), Number);
  }

  /** Reads the strings whose addresses a call wrote to `dims`. ONNX Runtime keeps owning them. */
  readTexts(count: number): string[] {
    return Array.from({ length: count }, (_, index) => {
      const address = readPointer(this.dims + 8 * index);
      return address === NULL ? '' : readCString(address);
    });
  }

  private checkRank(rank: number): void {
    if (rank > TENSOR_AXES) throw new InternalError(`a tensor has ${rank} axes; at most ${TENSOR_AXES} are supported`);
  }
}
