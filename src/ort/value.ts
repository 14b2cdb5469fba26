import { InternalError } from '../errors.js';
import { type Pointer, viewMemory } from '../native/ffi.js';
import { Handle, withHandle } from '../native/handle.js';
import type { DeviceAllocation, DeviceAllocator } from './device-memory.js';
import { type ElementType, elementBytes, elementTypeOf, onnxNumber, tensorBytes } from './element-type.js';
import type { Environment } from './environment.js';
import { NativeMemory } from './memory.js';
import type { Provider } from './provider.js';
import type { OrtRuntime } from './runtime.js';

/** A dense tensor, in host memory or in device memory. */

/** Memory that a tensor can be a view of. */
export type TensorMemory = NativeMemory | DeviceAllocation;

interface Tensor {
  readonly elementType: ElementType;
  readonly shape: readonly number[];
}

/** A tensor that owns its memory, or is a view of memory that it keeps alive. */
export class Value extends Handle {
  private _bytes: Uint8Array | null = null;
  /** The JavaScript memory that the tensor views; null for none. */
  private source: Uint8Array | null = null;
  private tensor: Tensor | null;

  /** Allocates an uninitialized tensor in host memory. */
  static allocate(runtime: OrtRuntime, elementType: ElementType, shape: readonly number[]): Value {
    checkShape(shape);
    const { calls, allocator } = runtime.environment;
    calls.writeShape(shape);
    const pointer = calls.result(
      calls.api.createTensorAsOrtValue(allocator, calls.dims, shape.length, onnxNumber(elementType), calls.out),
      `allocate a tensor ${elementType}[${shape}]`,
    );
    return new Value(runtime.environment, pointer, { elementType, shape }, null, 0);
  }

  /** A view of `memory` from `byteOffset` on. */
  static view(memory: TensorMemory, byteOffset: number, elementType: ElementType, shape: readonly number[]): Value {
    checkShape(shape);
    const byteLength = tensorBytes(elementType, shape);
    const fits = byteOffset >= 0 && byteOffset + byteLength <= memory.byteLength;
    if (!fits || byteOffset % elementBytes(elementType) !== 0) {
      throw new InternalError(
        `a tensor ${elementType}[${shape}] (${byteLength} bytes) at byte ${byteOffset} does not lie in memory of ${memory.byteLength} bytes, or is misaligned`,
      );
    }
    const { calls } = memory.environment;
    calls.writeShape(shape);
    const status = calls.api.createTensorWithDataAsOrtValue(
      memory.place,
      memory.address(byteOffset),
      byteLength,
      calls.dims,
      shape.length,
      onnxNumber(elementType),
      calls.out,
    );
    const pointer = calls.result(status, `create a tensor ${elementType}[${shape}] over memory`);
    return new Value(memory.environment, pointer, { elementType, shape }, memory, byteOffset);
  }

  /** A view of JavaScript memory, which must have exactly the size of the shape. */
  static viewBytes(runtime: OrtRuntime, bytes: Uint8Array, elementType: ElementType, shape: readonly number[]): Value {
    checkShape(shape);
    if (bytes.length !== tensorBytes(elementType, shape)) {
      throw new InternalError(
        `cannot view ${bytes.length} bytes as a tensor ${elementType}[${shape}]: the size differs`,
      );
    }
    const { environment } = runtime;
    const { calls, hostMemory } = environment;
    calls.writeShape(shape);
    // V8 keeps small arrays on its heap, where the garbage collector moves them, until their `buffer` is read.
    void bytes.buffer;
    const status = calls.api.createTensorOverBytes(
      hostMemory,
      bytes,
      bytes.length,
      calls.dims,
      shape.length,
      onnxNumber(elementType),
      calls.out,
    );
    const pointer = calls.result(status, `create a tensor ${elementType}[${shape}] over bytes`);
    const value = new Value(environment, pointer, { elementType, shape }, null, 0);
    value.source = bytes;
    return value;
  }

  /** A view of a tensor in the allocator's memory, with another type and shape. The caller keeps `value` alive for as long as the view. */
  static reinterpret(
    allocator: DeviceAllocator,
    value: Value,
    elementType: ElementType,
    shape: readonly number[],
  ): Value {
    checkShape(shape);
    const byteLength = tensorBytes(elementType, shape);
    if (byteLength > value.byteLength) {
      throw new InternalError(`a tensor ${elementType}[${shape}] does not fit in one of ${value.byteLength} bytes`);
    }
    const { environment, place, provider } = allocator;
    const { calls } = environment;
    const action = `create a tensor ${elementType}[${shape}] over another`;
    const data = value.address;
    calls.writeShape(shape);
    const status = calls.api.createTensorWithDataAsOrtValue(
      place,
      data,
      byteLength,
      calls.dims,
      shape.length,
      onnxNumber(elementType),
      calls.out,
    );
    return new Value(environment, calls.result(status, action), { elementType, shape }, null, 0, provider);
  }

  /** Takes ownership of a tensor that ONNX Runtime allocated in the provider's memory. Its type and shape are read on first use. */
  static adopt(environment: Environment, pointer: Pointer, provider: Provider['name']): Value {
    return new Value(environment, pointer, null, null, 0, provider);
  }

  private constructor(
    readonly environment: Environment,
    pointer: Pointer,
    tensor: Tensor | null,
    /** The memory that the tensor views; null if the tensor owns its memory or views JavaScript memory. */
    readonly memory: TensorMemory | null,
    private readonly byteOffset: number,
    /** The provider in whose memory the tensor lies if `memory` is null. */
    private readonly provider: Provider['name'] = 'cpu',
  ) {
    super('value', pointer);
    this.tensor = tensor;
    environment.addReference();
    memory?.addReference();
  }

  get elementType(): ElementType {
    return this.describe().elementType;
  }

  get shape(): readonly number[] {
    return this.describe().shape;
  }

  get byteLength(): number {
    return tensorBytes(this.elementType, this.shape);
  }

  /** The address of the first byte, in the memory in which the tensor lies. */
  get address(): Pointer {
    return this.addressAt(this.pointer);
  }

  /** The tensor's bytes, in place. Using them after `release` crashes the process. Throws `InternalError` for device memory. */
  bytes(): Uint8Array {
    const pointer = this.pointer;
    this._bytes ??= this.bytesAt(pointer);
    return this._bytes;
  }

  private describe(): Tensor {
    this.tensor ??= readTensor(this.environment, this.pointer);
    return this.tensor;
  }

  private bytesAt(pointer: Pointer): Uint8Array {
    if (this.memory instanceof NativeMemory) {
      return this.memory.bytes.subarray(this.byteOffset, this.byteOffset + this.byteLength);
    }
    if (this.source !== null) return this.source;
    if (this.memory !== null || this.provider !== 'cpu') {
      throw new InternalError('cannot read a tensor in device memory in place');
    }
    return viewMemory(this.addressAt(pointer), this.byteLength);
  }

  private addressAt(pointer: Pointer): Pointer {
    const { calls } = this.environment;
    return calls.result(calls.api.getTensorMutableData(pointer, calls.out), "find a tensor's bytes");
  }

  protected override free(pointer: Pointer): void {
    this._bytes = null;
    this.source = null;
    const { calls, locks } = this.environment;
    locks[this.provider].runOutside(() => {
      calls.api.releaseValue(pointer);
      this.memory?.dropReference();
      this.environment.dropReference();
    });
  }
}

function readTensor({ calls }: Environment, value: Pointer): Tensor {
  const { api, out, dims } = calls;
  const action = "read a tensor's type and shape";
  const info = calls.result(api.getTensorTypeAndShape(value, out), action);
  return withHandle('shapeInfo', info, api.releaseTensorTypeAndShapeInfo, () => {
    const elementType = elementTypeOf(calls.intResult(api.getTensorElementType(info, out), action));
    const rank = calls.rankResult(api.getDimensionsCount(info, out), action);
    calls.check(api.getDimensions(info, dims, rank), action);
    return { elementType, shape: calls.readShape(rank) };
  });
}

function checkShape(shape: readonly number[]): void {
  for (const dim of shape) {
    if (!Number.isSafeInteger(dim) || dim < 0)
      throw new InternalError(`[${shape}] is not a tensor shape: sizes must be non-negative integers`);
  }
}
