import { InternalError } from '../errors.js';
import { type ElementType, elementBytes, elementTypeOf, onnxNumber, tensorBytes } from './element-type.js';
import type { Environment } from './environment.js';
import { type Pointer, viewMemory } from './ffi.js';
import { Handle, withHandle } from './handles.js';
import type { NativeMemory } from './memory.js';
import type { OrtRuntime } from './runtime.js';

interface Tensor {
  readonly elementType: ElementType;
  readonly shape: readonly number[];
}

/** A dense tensor in host memory. */
export class Value extends Handle {
  #bytes: Uint8Array | null = null;
  #tensor: Tensor | null;

  /** A tensor whose memory is its own. Its contents are undefined at first. */
  static allocate(runtime: OrtRuntime, elementType: ElementType, shape: readonly number[]): Value {
    checkShape(shape);
    const { calls, allocator } = runtime.environment;
    calls.putShape(shape);
    const pointer = calls.take(
      calls.api.createTensorAsOrtValue(allocator, calls.dims, shape.length, onnxNumber(elementType), calls.out),
      `allocating a tensor ${elementType}[${shape}]`,
    );
    return new Value(runtime.environment, pointer, { elementType, shape }, null, 0);
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
    return new Value(memory.environment, pointer, { elementType, shape }, memory, byteOffset);
  }

  /** Takes over a tensor that ONNX Runtime made. What it is like is asked for when somebody wants to know. */
  static adopt(environment: Environment, pointer: Pointer): Value {
    return new Value(environment, pointer, null, null, 0);
  }

  private constructor(
    private readonly environment: Environment,
    pointer: Pointer,
    tensor: Tensor | null,
    /** The memory it is a view of; null if it has its own. */
    readonly memory: NativeMemory | null,
    private readonly byteOffset: number,
  ) {
    super('value', pointer);
    this.#tensor = tensor;
    environment.hold();
    memory?.hold();
  }

  get elementType(): ElementType {
    return this.#describe().elementType;
  }

  get shape(): readonly number[] {
    return this.#describe().shape;
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

  #describe(): Tensor {
    this.#tensor ??= readTensor(this.environment, this.pointer);
    return this.#tensor;
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

function readTensor({ calls }: Environment, value: Pointer): Tensor {
  const { api, out, dims } = calls;
  const doing = 'reading what a tensor is like';
  const info = calls.take(api.getTensorTypeAndShape(value, out), doing);
  return withHandle('shapeInfo', info, api.releaseTensorTypeAndShapeInfo, () => {
    const elementType = elementTypeOf(calls.takeInt(api.getTensorElementType(info, out), doing));
    const rank = calls.takeRank(api.getDimensionsCount(info, out), doing);
    calls.check(api.getDimensions(info, dims, rank), doing);
    return { elementType, shape: calls.takeShape(rank) };
  });
}

function checkShape(shape: readonly number[]): void {
  for (const dim of shape) {
    if (!Number.isSafeInteger(dim) || dim < 0) throw new InternalError(`[${shape}] is no shape of a tensor`);
  }
}
