import { Corrupt } from '../errors.js';
import type { ObjectInfo } from './object.js';
import type { ObjectBody, ReadOutcome } from './object-node.js';
import { type ObjectValue, ValueWriter } from './object-value.js';

/**
 * The whole value of a read from its first byte on. The caller has a reference to it. The body is closed.
 * @param onMemory called before memory for this many bytes is taken; its errors are rethrown
 */
export async function wholeValue(
  read: Extract<ReadOutcome, { type: 'found' | 'here' }>,
  onMemory: ((bytes: number) => void) | null = null,
  onFreed: (() => void) | null = null,
): Promise<ObjectValue> {
  if (read.type === 'here') return read.value;
  const writer = new ValueWriter(read.info.bytes, onMemory, onFreed);
  try {
    await copyInto(writer, read.body);
    const value = writer.finish();
    checkDigest(value, read.info);
    return value;
  } finally {
    writer.abort();
    read.body.close();
  }
}

async function copyInto(writer: ValueWriter, body: ObjectBody): Promise<void> {
  for (let piece = await body.next(); piece !== null; piece = await body.next()) {
    for (let at = 0; at < piece.bytes.byteLength; ) {
      const target = writer.target();
      const part = piece.bytes.subarray(at, at + target.byteLength);
      if (part.byteLength === 0) throw new Corrupt('an object came with more bytes than it has');
      target.set(part);
      writer.advance(part.byteLength);
      at += part.byteLength;
    }
    piece.release();
  }
}

function checkDigest(value: ObjectValue, { digest }: ObjectInfo): void {
  if (value.digest === digest) return;
  value.release();
  throw new Corrupt('the bytes of an object do not match its digest');
}
