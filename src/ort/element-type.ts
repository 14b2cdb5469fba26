import { InternalError } from '../errors.js';

/** Element types of tensors: their ONNX numbers and sizes. Strings and types smaller than a byte are not supported. */
const ELEMENT_TYPES = {
  float32: { onnx: 1, bytes: 4 },
  uint8: { onnx: 2, bytes: 1 },
  int8: { onnx: 3, bytes: 1 },
  uint16: { onnx: 4, bytes: 2 },
  int16: { onnx: 5, bytes: 2 },
  int32: { onnx: 6, bytes: 4 },
  int64: { onnx: 7, bytes: 8 },
  bool: { onnx: 9, bytes: 1 },
  float16: { onnx: 10, bytes: 2 },
  float64: { onnx: 11, bytes: 8 },
  uint32: { onnx: 12, bytes: 4 },
  uint64: { onnx: 13, bytes: 8 },
  bfloat16: { onnx: 16, bytes: 2 },
  float8e4m3fn: { onnx: 17, bytes: 1 },
  float8e5m2: { onnx: 19, bytes: 1 },
} as const;

export type ElementType = keyof typeof ELEMENT_TYPES;

const BY_NUMBER = new Map<number, ElementType>();
for (const name of Object.keys(ELEMENT_TYPES) as ElementType[]) BY_NUMBER.set(ELEMENT_TYPES[name].onnx, name);

export function elementBytes(type: ElementType): number {
  return ELEMENT_TYPES[type].bytes;
}

/** The ONNX number of an element type (`TensorProto.DataType`). */
export function onnxNumber(type: ElementType): number {
  return ELEMENT_TYPES[type].onnx;
}

/** The element type with an ONNX number. Throws `InternalError` if it is not supported. */
export function elementTypeOf(number: number): ElementType {
  const type = BY_NUMBER.get(number);
  if (type === undefined) {
    throw new InternalError(
      `a tensor has ONNX element type ${number}, which is not supported; supported types are ${Object.keys(ELEMENT_TYPES).join(', ')}`,
    );
  }
  return type;
}

/** The size of a dense tensor in bytes. */
export function tensorBytes(type: ElementType, shape: readonly number[]): number {
  let elements = 1;
  for (const dim of shape) elements *= dim;
  return elements * ELEMENT_TYPES[type].bytes;
}
