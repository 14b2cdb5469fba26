import { Corrupt } from '../../errors.js';
import { type ElementType, elementTypeOf, onnxNumber, tensorBytes } from '../../ort/element-type.js';
import { FlatTable } from './flatbuffer.js';

/**
 * Reads and writes `.onnx_adapter` files, ONNX Runtime's format for the parameters of one adapter: a FlatBuffers message. See
 * https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/lora/adapter_format/adapter_schema.fbs.
 */

const IDENTIFIER = 'TORT';
const FORMAT_VERSION = 1;
/** Slots of the tables `Adapter` and `Parameter`. */
const ADAPTER = { formatVersion: 0, adapterVersion: 1, modelVersion: 2, parameters: 3 } as const;
const PARAMETER = { name: 0, dims: 1, dataType: 2, rawData: 3 } as const;

/** Limit on the parameters of an adapter: seven pairs for each of 1,024 layers are fewer. */
const ADAPTER_PARAMETERS = 16_384;
const NAME_CHARS = 512;
const AXES = 8;

/** A tensor that takes the place of a default of the graph. */
export interface AdapterParameter {
  /** The name of the graph's input. */
  readonly name: string;
  readonly elementType: ElementType;
  readonly dims: readonly number[];
  /** The elements, little-endian, row by row. */
  readonly data: Uint8Array;
}

/**
 * Reads an adapter. The parameters' data are views of `bytes`.
 * @throws Corrupt if the bytes are not an adapter in this format
 */
export function readAdapter(bytes: Uint8Array): AdapterParameter[] {
  const root = FlatTable.root(bytes, IDENTIFIER);
  const version = root.int32(ADAPTER.formatVersion);
  if (version !== FORMAT_VERSION)
    throw new Corrupt(`the adapter has format version ${version}; only version ${FORMAT_VERSION} is known`);
  const parameters = root.tables(ADAPTER.parameters, ADAPTER_PARAMETERS).map(readParameter);
  const names = new Set(parameters.map(({ name }) => name));
  if (names.size < parameters.length) throw new Corrupt('the adapter has two parameters of one name');
  return parameters;
}

function readParameter(table: FlatTable): AdapterParameter {
  const name = table.text(PARAMETER.name);
  if (name === '' || name.length > NAME_CHARS) throw new Corrupt('a parameter of the adapter has no valid name');
  const dims = table.integers(PARAMETER.dims);
  const elementType = typeOf(table.int32(PARAMETER.dataType), name);
  const data = table.bytes(PARAMETER.rawData);
  if (dims.length > AXES || dims.some((dim) => dim < 0) || tensorBytes(elementType, dims) !== data.length)
    throw new Corrupt(`the parameter "${name}" has ${data.length} bytes, which is not ${elementType}[${dims}]`);
  return { name, elementType, dims, data };
}

function typeOf(number: number, name: string): ElementType {
  try {
    return elementTypeOf(number);
  } catch {
    throw new Corrupt(`the parameter "${name}" has the unknown element type ${number}`);
  }
}

/** Both tables have four fields of four bytes, so they share one table of offsets. */
const OFFSETS = Uint16Array.of(12, 20, 4, 8, 12, 16);
const TABLE_BYTES = 20;
/** Identifier and root before the table of offsets, which is padded to a multiple of four. */
const HEAD_BYTES = 8 + OFFSETS.byteLength;

/** Encodes an adapter, in pieces that follow one another. The same parameters give the same bytes. */
export function writeAdapter(parameters: readonly AdapterParameter[]): Uint8Array[] {
  const vectorAt = HEAD_BYTES + TABLE_BYTES;
  const tablesAt = vectorAt + 4 + 4 * parameters.length;
  const head = new DataView(new ArrayBuffer(tablesAt));
  head.setUint32(0, HEAD_BYTES, true);
  Buffer.from(head.buffer).write(IDENTIFIER, 4, 'latin1');
  for (const [i, offset] of OFFSETS.entries()) head.setUint16(8 + 2 * i, offset, true);
  head.setInt32(HEAD_BYTES, HEAD_BYTES - 8, true);
  head.setInt32(HEAD_BYTES + 4, FORMAT_VERSION, true);
  head.setInt32(HEAD_BYTES + 8, 1, true);
  head.setInt32(HEAD_BYTES + 12, 1, true);
  head.setUint32(HEAD_BYTES + 16, vectorAt - (HEAD_BYTES + 16), true);
  head.setUint32(vectorAt, parameters.length, true);
  const pieces: Uint8Array[] = [new Uint8Array(head.buffer)];
  let at = tablesAt;
  parameters.forEach((parameter, i) => {
    const entry = vectorAt + 4 + 4 * i;
    head.setUint32(entry, at - entry, true);
    const encoded = encodedParameter(parameter, at);
    pieces.push(...encoded);
    at += encoded.reduce((sum, { length }) => sum + length, 0);
  });
  return pieces;
}

/** A parameter's table, name, dimensions and data, each aligned for its elements. `at` is a multiple of four. */
function encodedParameter({ name, elementType, dims, data }: AdapterParameter, at: number): Uint8Array[] {
  const text = Buffer.from(name);
  const nameAt = TABLE_BYTES;
  const dimsAt = beforeEight(at, nameAt + 4 + text.length + 1);
  const dataAt = beforeEight(at, dimsAt + 4 + 8 * dims.length);
  const head = new DataView(new ArrayBuffer(dataAt + 4));
  head.setInt32(0, at - 8, true);
  head.setUint32(4, nameAt - 4, true);
  head.setUint32(8, dimsAt - 8, true);
  head.setInt32(12, onnxNumber(elementType), true);
  head.setUint32(16, dataAt - 16, true);
  head.setUint32(nameAt, text.length, true);
  new Uint8Array(head.buffer).set(text, nameAt + 4);
  head.setUint32(dimsAt, dims.length, true);
  for (const [i, dim] of dims.entries()) head.setBigInt64(dimsAt + 4 + 8 * i, BigInt(dim), true);
  head.setUint32(dataAt, data.length, true);
  const padding = (4 - ((dataAt + 4 + data.length) % 4)) % 4;
  return [new Uint8Array(head.buffer), data, new Uint8Array(padding)];
}

/** The least offset from `offset` on whose place in the file, four bytes further, is a multiple of eight: there the elements of a vector begin. */
function beforeEight(base: number, offset: number): number {
  return offset + ((12 - ((base + offset) % 8)) % 8);
}
