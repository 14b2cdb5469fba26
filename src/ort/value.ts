import { InternalError } from '../errors.js';
import { type ElementType, elementBytes, elementTypeOf, onnxNumber, tensorBytes } from './element-type.js';
import type { Environment } from './environment.js';
import { type Pointer, viewMemory } from './ffi.js';
import { Handle, withHandle } from './handles.js';
import type { NativeMemory } from './memory.js';
import type { OrtRuntime } from './runtime.js';

/** A dense tensor in host memory. */
export class Value extends Handle {
  #bytes: Uint8Array | null = null;

  /** A tensor whose memory is its own. Its contents are undefined at first. */
  static allocate(runtime: OrtRuntime, elementType: ElementType, shape: readonly number[]): Value {
    checkShape(shape);
    const { calls, allocator } = runtime.environment;
    calls.putShape(shape);
    const pointer = calls.take(
      calls.api.createTensorAsOrtValue(allocator, calls.dims, shape.length, onnxNumber(elementType), calls.out),
      `allocating a tensor ${elementType}[${shape}]`,
    );
    return new Value(runtime.environment, pointer, elementType, shape, null, 0);
  }

  /** A view of `memory` from `byteOffset` on, which it keeps alive. */
  static over(memory: NativeMemory, byteOffset: number, elementType: ElementType, shape: readonly number[]): Value {
    checkShape(shape);
    const byteLength = tensorBytes(elementType, shape);
    const fits = byteOffset >= 0 && byteOffset + byteLength <= memory.byteLength;
    if (!fits || byteOffset % elementBytes(elementType) !== 0) {
      throw new InternalError(
        `a tensor ${elementType}[${shape}] (${byteLength} bytes) at byte ${byteOffset} does not lie in memory of ${memory.byteLength} bytes, or is not aligned`,
      );
    }
    const { calls, hostMemory } = memory.environment;
    calls.putShape(shape);
    const status = calls.api.createTensorWithDataAsOrtValue(
      hostMemory,
      memory.pointer + byteOffset,
      byteLength,
      calls.dims,
      shape.length,
      onnxNumber(elementType),
      calls.out,
    );
    const pointer = calls.take(status, `making a tensor ${elementType}[${shape}] over memory`);
    return new Value(memory.environment, pointer, elementType, shape, memory, byteOffset);
  }

  /** Takes over a tensor that ONNX Runtime made. Frees it if it cannot be read. */
  static adopt(environment: Environment, pointer: Pointer): Value {
    const { calls } = environment;
    const { api, out } = calls;
    try {
      const info = calls.take(api.getTensorTypeAndShape(pointer, out), "reading a tensor's shape");
      return withHandle('shapeInfo', info, api.releaseTensorTypeAndShapeInfo, () => {
        const type = elementTypeOf(calls.takeInt(api.getTensorElementType(info, out), "reading a tensor's type"));
        const rank = calls.takeRank(api.getDimensionsCount(info, out), "reading a tensor's rank");
        calls.check(api.getDimensions(info, calls.dims, rank), "reading a tensor's shape");
        return new Value(environment, pointer, type, calls.takeShape(rank), null, 0);
      });
    } catch (error) {
      api.releaseValue(pointer);
      throw error;
    }
  }

  private constructor(
    private readonly environment: Environment,
    pointer: Pointer,
    readonly elementType: ElementType,
    readonly shape: readonly number[],
    /** The memory it is a view of; null if it has its own. */
    readonly memory: NativeMemory | null,
    private readonly byteOffset: number,
  ) {
    super('value', pointer);
    environment.hold();
    memory?.hold();
  }

  get byteLength(): number {
    return tensorBytes(this.elementType, this.shape);
  }

  /** Its bytes, in place. Not to be touched after `release`: that would crash the process. */
  bytes(): Uint8Array {
    const pointer = this.pointer;
    this.#bytes ??= this.#view(pointer);
    return this.#bytes;
  }

  #view(pointer: Pointer): Uint8Array {
    if (this.memory !== null) return this.memory.bytes.subarray(this.byteOffset, this.byteOffset + this.byteLength);
    const { calls } = this.environment;
    const data = calls.take(calls.api.getTensorMutableData(pointer, calls.out), "finding a tensor's bytes");
    return viewMemory(data, this.byteLength);
  }

  protected override free(pointer: Pointer): void {
    this.#bytes = null;
    this.environment.calls.api.releaseValue(pointer);
    this.memory?.drop();
    this.environment.drop();
  }
}

function checkShape(shape: readonly number[]): void {
  for (const dim of shape) {
    if (!Number.isSafeInteger(dim) || dim < 0) throw new InternalError(`[${shape}] is no shape of a tensor`);
  }
}
