import type { BlockKey } from '../../src/core/block.js';
import { Unavailable } from '../../src/errors.js';
import { type BlockFileHeader, decodeHeader, HEADER_BYTES, isOutdated } from './block-file.js';
import type { FileSealer } from './file-seal.js';
import { READ_DEADLINE } from './read-deadline.js';
import type { WatchedFiles } from './watched-files.js';

/** Recognizes the files that an earlier process has left. */

/**
 * The header of a file; null if the file is incomplete, has another fingerprint, or was written without the key. `outdated`: an earlier
 * version of shoal has written it. The seal of the bytes is checked when they are read. Rejects with `Unavailable` if the disk does not answer.
 */
export async function recognized(
  files: Pick<WatchedFiles, 'read'>,
  { key, byteLength }: { readonly key: BlockKey; readonly byteLength: number },
  {
    fingerprint,
    blockBytes,
    sealer,
  }: { readonly fingerprint: string; readonly blockBytes: number; readonly sealer: FileSealer },
): Promise<BlockFileHeader | 'outdated' | null> {
  const bytes = new Uint8Array(Math.min(byteLength, HEADER_BYTES));
  const whole = await files.read(key, bytes, 0, READ_DEADLINE.mostMs).catch((error: unknown) => {
    if (error instanceof Unavailable) throw error;
    return false;
  });
  if (whole && isOutdated(bytes)) return 'outdated';
  const header = whole && byteLength === HEADER_BYTES + blockBytes ? decodeHeader(bytes, sealer) : null;
  const fits = header?.fingerprint === fingerprint && header.blockBytes === blockBytes && header.block.key === key;
  return fits ? header : null;
}
