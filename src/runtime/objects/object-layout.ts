import { InvalidRequest } from '../../errors.js';
import type { PlacedBytes } from '../../native/shared-file.js';
import { decode, encode, WIRE_VALUE_BYTES } from '../../wire/msgpack.js';
import { type PackedValue, unpackValue, type ValueHooks } from '../values/value.js';

/**
 * A value as the bytes of an object: the length of the head, the head, then the buffers, each aligned, so that typed arrays can be views of
 * them. The head is MessagePack: the plain value, whether it is tagged, and the lengths of the buffers.
 */

const PREFIX_BYTES = 4;
const ALIGNMENT_BYTES = 64;

/** The bytes of an object, in pieces that are those of the value: they change with it until they are copied. */
export interface ObjectPieces {
  readonly byteLength: number;
  /** In order. Between them are zeros. */
  readonly pieces: readonly PlacedBytes[];
}

/** The bytes of a value that was packed with these buffers beside it. @throws InvalidRequest if the rest of the value is too large to be read again */
export function objectPieces({ plain, tagged }: PackedValue, buffers: readonly Uint8Array[]): ObjectPieces {
  const head = encode([plain, tagged, buffers.map(({ byteLength }) => byteLength)]);
  if (head.byteLength > WIRE_VALUE_BYTES) {
    const remedy = 'put it into several values, or into typed arrays';
    throw new InvalidRequest(
      `a value has ${head.byteLength} bytes beside its typed arrays; at most ${WIRE_VALUE_BYTES} are allowed; ${remedy}`,
    );
  }
  const starts = layout(head.byteLength, buffers);
  const prefix = new Uint8Array(PREFIX_BYTES);
  new DataView(prefix.buffer).setUint32(0, head.byteLength, true);
  const own = [
    { at: 0, bytes: prefix },
    { at: PREFIX_BYTES, bytes: head },
  ];
  return { byteLength: starts.end, pieces: [...own, ...buffers.map((bytes, i) => ({ at: starts.at[i]!, bytes }))] };
}

/** The pieces as one array. */
export function joined({ byteLength, pieces }: ObjectPieces): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  for (const piece of pieces) bytes.set(piece.bytes, piece.at);
  return bytes;
}

/** The value again. Its large typed arrays are views of `bytes`. @throws Corrupt or InvalidRequest if the bytes are malformed */
export function objectValue(bytes: Uint8Array, hooks: ValueHooks): unknown {
  if (bytes.byteLength < PREFIX_BYTES) throw new InvalidRequest('an object is shorter than its head');
  const headBytes = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const [plain, tagged, lengths] = headOf(decode(bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + headBytes)));
  const starts = layout(
    headBytes,
    lengths.map((byteLength) => ({ byteLength })),
  );
  if (starts.end !== bytes.byteLength) throw new InvalidRequest('an object has other lengths than its head says');
  const buffers = lengths.map((byteLength, i) => bytes.subarray(starts.at[i], starts.at[i]! + byteLength));
  return unpackValue(plain, tagged, hooks, buffers);
}

function headOf(head: unknown): [unknown, boolean, number[]] {
  const isRight =
    Array.isArray(head) &&
    head.length === 3 &&
    typeof head[1] === 'boolean' &&
    Array.isArray(head[2]) &&
    head[2].every((length) => Number.isSafeInteger(length) && length >= 0);
  if (!isRight) throw new InvalidRequest('an object has a malformed head');
  return head as [unknown, boolean, number[]];
}

function layout(headBytes: number, buffers: readonly { readonly byteLength: number }[]): { at: number[]; end: number } {
  const at: number[] = [];
  let end = PREFIX_BYTES + headBytes;
  for (const { byteLength } of buffers) {
    const start = Math.ceil(end / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    at.push(start);
    end = start + byteLength;
  }
  return { at, end };
}
