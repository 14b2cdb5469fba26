import { Readable } from 'node:stream';
import { HTTP_PART_BYTES } from '../../src/limits.js';

/** A long answer as a stream of parts. Calls `onTaken` for each part that the socket has room for, which shows that the client still reads. */
export function streamParts(bytes: Uint8Array, onTaken: () => void): Readable {
  return Readable.from(parts(bytes, onTaken), { highWaterMark: 1 });
}

function* parts(bytes: Uint8Array, onTaken: () => void): Generator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += HTTP_PART_BYTES) {
    onTaken();
    yield bytes.subarray(at, at + HTTP_PART_BYTES);
  }
}
