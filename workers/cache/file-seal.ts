import { createCipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';

/** Proves that a member of the fleet has written a file of the disk cache: without the key, a writer to the folder cannot plant blocks. */

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Bytes of a seal over a block, and of one over a header. */
export const BLOCK_SEAL_BYTES = NONCE_BYTES + TAG_BYTES;
export const HEADER_SEAL_BYTES = 32;

/**
 * Makes and checks seals. Blocks are sealed by AES-256-GMAC (NIST SP 800-38D) under a random nonce each, which is several times as fast as
 * HMAC-SHA256, and slower than the digest that it replaces by less than a disk takes; headers, which are short, by HMAC-SHA256. Both keys are
 * derived from the secret by HKDF (RFC 5869). One key is good for 2^32 files.
 */
export class FileSealer {
  private readonly blockKey: Buffer;
  private readonly headerKey: Buffer;

  constructor(secret: string) {
    const key = (use: string) => Buffer.from(hkdfSync('sha256', secret, '', `shoal-disk-${use}-1`, KEY_BYTES));
    this.blockKey = key('block');
    this.headerKey = key('header');
  }

  sealBlock(bytes: Uint8Array): Uint8Array {
    const nonce = randomBytes(NONCE_BYTES);
    return Buffer.concat([nonce, this.tagOf(bytes, nonce)]);
  }

  /** Whether the seal matches the bytes. */
  opensBlock(bytes: Uint8Array, seal: Uint8Array): boolean {
    const tag = this.tagOf(bytes, seal.subarray(0, NONCE_BYTES));
    return seal.byteLength === BLOCK_SEAL_BYTES && timingSafeEqual(tag, seal.subarray(NONCE_BYTES));
  }

  sealHeader(header: Uint8Array): Uint8Array {
    return createHmac('sha256', this.headerKey).update(header).digest();
  }

  opensHeader(header: Uint8Array, seal: Uint8Array): boolean {
    return seal.byteLength === HEADER_SEAL_BYTES && timingSafeEqual(this.sealHeader(header), seal);
  }

  /** The tag of a message without a text whose associated data are the bytes: that is GMAC. */
  private tagOf(bytes: Uint8Array, nonce: Uint8Array): Buffer {
    const cipher = createCipheriv('aes-256-gcm', this.blockKey, nonce);
    cipher.setAAD(bytes);
    cipher.final();
    return cipher.getAuthTag();
  }
}
