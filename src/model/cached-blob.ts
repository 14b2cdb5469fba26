import { realpath, stat } from 'node:fs/promises';
import { Corrupt } from '../errors.js';
import { BlobDigest } from '../hub/blob-digest.js';
import { blobNameAt } from '../hub/cache-layout.js';

/** Hexadecimal digits of SHA-1. */
const GIT_DIGITS = 40;

/**
 * A file of a model that is a blob in the hub's cache. Its name is the digest of its bytes, so a byte that changed on the disk shows wherever
 * the whole file is read anyway.
 */
export class CachedBlob {
  /** Git's digest, for small files. Large files are named by SHA-256. */
  private readonly git: BlobDigest | null;

  private constructor(
    private readonly path: string,
    private readonly name: string,
    byteLength: number,
  ) {
    this.git = name.length === GIT_DIGITS ? new BlobDigest(name, byteLength) : null;
  }

  /** The blob that a path leads to; null for a file outside of a hub's cache. */
  static async at(path: string): Promise<CachedBlob | null> {
    const real = await realpath(path);
    const name = blobNameAt(real);
    return name === null ? null : new CachedBlob(real, name, (await stat(real)).size);
  }

  update(bytes: Uint8Array): void {
    this.git?.update(bytes);
  }

  /**
   * Call it once, after the last byte.
   * @param sha256 computes the SHA-256 of all bytes, in hexadecimal digits
   * @throws Corrupt with the remedy if the bytes do not match the digest in the name
   */
  requireIntact(sha256: () => string): void {
    if (this.git === null ? sha256() === this.name : this.git.matches()) return;
    throw new Corrupt(
      `cannot use ${this.path}: its bytes have another digest than its name in the hub's cache; remove the file and start again, which downloads it again`,
    );
  }
}
