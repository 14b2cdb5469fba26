import type { BlockKey, SealedBlock } from '../../src/core/block.js';
import { Unavailable } from '../../src/errors.js';
import { decodeHeader, HEADER_BYTES } from './block-file.js';
import { READ_DEADLINE } from './read-deadline.js';
import type { WatchedFiles } from './watched-files.js';

/** Recognizes the files that an earlier process has left. */

/**
 * The block of a file; null if the file is incomplete or has another fingerprint. The digest is checked when the bytes are read. Rejects with
 * `Unavailable` if the disk does not answer.
 */
export async function recognized(
  files: Pick<WatchedFiles, 'read'>,
  { key, byteLength }: { readonly key: BlockKey; readonly byteLength: number },
  { fingerprint, blockBytes }: { readonly fingerprint: string; readonly blockBytes: number },
): Promise<SealedBlock | null> {
  if (byteLength !== HEADER_BYTES + blockBytes) return null;
  const bytes = new Uint8Array(HEADER_BYTES);
  const whole = await files.read(key, bytes, 0, READ_DEADLINE.mostMs).catch((error: unknown) => {
    if (error instanceof Unavailable) throw error;
    return false;
  });
  const header = whole ? decodeHeader(bytes) : null;
  const fits = header?.fingerprint === fingerprint && header.blockBytes === blockBytes && header.block.key === key;
  return fits ? header.block : null;
}
