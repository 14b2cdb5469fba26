import { InternalError } from '../errors.js';
import { type Pointer, viewMemory } from '../native/ffi.js';
import { Handle, withHandle } from '../native/handle.js';
import type { DeviceAllocator, DeviceMemory } from './device-memory.js';
import { type ElementType, elementBytes, elementTypeOf, onnxNumber, tensorBytes } from './element-type.js';
import type { Environment } from './environment.js';
import { NativeMemory } from './memory.js';
import type { Provider } from './provider.js';
import type { OrtRuntime } from './runtime.js';

/** What a tensor can be a view of. */
export type TensorMemory = NativeMemory | DeviceMemory;

interface Tensor {
  readonly elementType: ElementType;
  readonly shape: readonly number[];
}

/** A dense tensor, in host memory or in a device's. */
export class Value extends Handle {
  private _bytes: Uint8Array | null = null;
  /** Memory of JavaScript that it is a view of; null if it is none. */
  private source: Uint8Array | null = null;
  private tensor: Tensor | null;

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
  static over(memory: TensorMemory, byteOffset: number, elementType: ElementType, shape: readonly number[]): Value {
    checkShape(shape);
    const byteLength = tensorBytes(elementType, shape);
    const fits = byteOffset >= 0 && byteOffset + byteLength <= memory.byteLength;
    if (!fits || byteOffset % elementBytes(elementType) !== 0) {
      throw new InternalError(
        `a tensor ${elementType}[${shape}] (${byteLength} bytes) at byte ${byteOffset} does not lie in memory of ${memory.byteLength} bytes, or is not aligned`,
      );
    }
    const { calls } = memory.environment;
    calls.putShape(shape);
    const status = calls.api.createTensorWithDataAsOrtValue(
      memory.place,
      memory.address(byteOffset),
      byteLength,
      calls.dims,
      shape.length,
      onnxNumber(elementType),
      calls.out,
    );
    const pointer = calls.take(status, `making a tensor ${elementType}[${shape}] over memory`);
    return new Value(memory.environment, pointer, { elementType, shape }, memory, byteOffset);
  }

  /** A view of bytes of JavaScript, of this shape exactly, which it keeps alive. */
  static overBytes(runtime: OrtRuntime, bytes: Uint8Array, elementType: ElementType, shape: readonly number[]): Value {
    checkShape(shape);
    if (bytes.length !== tensorBytes(elementType, shape)) {
      throw new InternalError(`${bytes.length} bytes are no tensor ${elementType}[${shape}]`);
    }
    const { environment } = runtime;
    const { calls, hostMemory } = environment;
    calls.putShape(shape);
    // Small arrays lie where the garbage collector moves them, until their buffer is asked for.
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
    const pointer = calls.take(status, `making a tensor ${elementType}[${shape}] over bytes`);
    const value = new Value(environment, pointer, { elementType, shape }, null, 0);
    value.source = bytes;
    return value;
  }

  /** Another look at a tensor of the allocator's device: the same memory as this type and shape. `value` must outlive it. */
  static overValue(
    allocator: DeviceAllocator,
    value: Value,
    elementType: ElementType,
    shape: readonly number[],
  ): Value {
    checkShape(shape);
    const byteLength = tensorBytes(elementType, shape);
    if (byteLength > value.byteLength) {
      throw new InternalError(`a tensor ${elementType}[${shape}] does not lie in one of ${value.byteLength} bytes`);
    }
    const { environment, place, provider } = allocator;
    const { calls } = environment;
    const doing = `making a tensor ${elementType}[${shape}] over another`;
    const data = value.address;
    calls.putShape(shape);
    const status = calls.api.createTensorWithDataAsOrtValue(
      place,
      data,
      byteLength,
      calls.dims,
      shape.length,
      onnxNumber(elementType),
      calls.out,
    );
    return new Value(environment, calls.take(status, doing), { elementType, shape }, null, 0, provider);
  }

  /** Takes over a tensor that ONNX Runtime made in memory of the provider. What it is like is asked for when somebody wants to know. */
  static adopt(environment: Environment, pointer: Pointer, provider: Provider['name']): Value {
    return new Value(environment, pointer, null, null, 0, provider);
  }

  private constructor(
    readonly environment: Environment,
    pointer: Pointer,
    tensor: Tensor | null,
    /** The memory it is a view of; null if it has its own. */
    readonly memory: TensorMemory | null,
    private readonly byteOffset: number,
    /** Who has its own memory. */
    private readonly provider: Provider['name'] = 'cpu',
  ) {
    super('value', pointer);
    this.tensor = tensor;
    environment.hold();
    memory?.hold();
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

  /** Where its first byte is, in the memory that it lies in. */
  get address(): Pointer {
    return this.addressAt(this.pointer);
  }

  /** Its bytes, in place. Not to be touched after `release`: that would crash the process. Throws `InternalError` for a device's. */
  bytes(): Uint8Array {
    const pointer = this.pointer;
    this._bytes ??= this.view(pointer);
    return this._bytes;
  }

  private describe(): Tensor {
    this.tensor ??= readTensor(this.environment, this.pointer);
    return this.tensor;
  }

  private view(pointer: Pointer): Uint8Array {
    if (this.memory instanceof NativeMemory) {
      return this.memory.bytes.subarray(this.byteOffset, this.byteOffset + this.byteLength);
    }
    if (this.source !== null) return this.source;
    if (this.memory !== null || this.provider !== 'cpu') {
      throw new InternalError("a tensor in a device's memory cannot be read in place");
    }
    return viewMemory(this.addressAt(pointer), this.byteLength);
  }

  private addressAt(pointer: Pointer): Pointer {
    const { calls } = this.environment;
    return calls.take(calls.api.getTensorMutableData(pointer, calls.out), "finding a tensor's bytes");
  }

  protected override free(pointer: Pointer): void {
    this._bytes = null;
    this.source = null;
    const { calls, locks } = this.environment;
    locks[this.provider].runOutside(() => {
      calls.api.releaseValue(pointer);
      this.memory?.drop();
      this.environment.drop();
    });
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
