import { createHash, type Hash } from 'node:crypto';

/** Computes the name of a blob from its bytes, which may come in any pieces. */
export class BlobDigest {
  private readonly hash: Hash;

  /**
   * @param name the expected name: 64 digits for SHA-256, 40 for git's SHA-1, which covers the length too
   * @param byteLength the length of the whole blob
   */
  constructor(
    private readonly name: string,
    byteLength: number,
  ) {
    this.hash = createHash(name.length === 64 ? 'sha256' : 'sha1');
    if (name.length !== 64) this.hash.update(`blob ${byteLength}\0`);
  }

  update(bytes: Uint8Array): void {
    this.hash.update(bytes);
  }

  /** Whether the bytes match the name. Call it once, after the last byte. */
  matches(): boolean {
    return this.hash.digest('hex') === this.name;
  }
}
