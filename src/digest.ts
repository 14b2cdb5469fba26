import { xxh3, xxh32 } from '@node-rs/xxhash';
import type { BlockDigest } from './core/block.js';
import { xxh32Short } from './xxh32.js';

/**
 * Digests of blocks and checksums of a few bytes. A digest is XXH3, 64 bits, seed 0: it detects what memory, disks and wires do to bytes, not
 * an attacker. Peers are trusted once they have proved that they know the secret.
 */
export class Digester {
  // The library's one-shot XXH3 runs at a tenth of the speed of its streaming one.
  private readonly state = xxh3.Xxh3.withSeed(0n);

  /** Begins a new block. */
  reset(): void {
    this.state.reset();
  }

  update(bytes: Uint8Array): void {
    this.state.update(bytes);
  }

  digest(): BlockDigest {
    return this.state.digest().toString(16).padStart(16, '0');
  }
}

const whole = new Digester();

/** The digest over all bytes of a block. */
export function digestOf(bytes: Uint8Array): BlockDigest {
  whole.reset();
  whole.update(bytes);
  return whole.digest();
}

/** Up to this size a hash in JavaScript is faster than a call of the library. */
const SHORT_BYTES = 256;

/**
 * Checksum of the bytes from `from` to before `end`: XXH32, seed 0. It detects every change that lies within four bytes at an offset that is a
 * multiple of four.
 */
export function checksumOf(bytes: Uint8Array, from = 0, end = bytes.byteLength): number {
  return end - from <= SHORT_BYTES ? xxh32Short(bytes, from, end) : xxh32(bytes.subarray(from, end), 0);
}
