import { Readable } from 'node:stream';
import { HTTP_PART_BYTES } from '../../src/limits.js';

/** An answer in parts, each handed out, with a call of `onTaken`, when there is room for it: so it can be told whether who reads it reads on. */
export function inParts(bytes: Uint8Array, onTaken: () => void): Readable {
  return Readable.from(parts(bytes, onTaken), { highWaterMark: 1 });
}

function* parts(bytes: Uint8Array, onTaken: () => void): Generator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += HTTP_PART_BYTES) {
    onTaken();
    yield bytes.subarray(at, at + HTTP_PART_BYTES);
  }
}
