import { randomBytes } from 'node:crypto';

/** The port to randomness: the system's generator, and one that is reproducible from a seed. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform integer in [0, `bound`). */
  below(bound: number): number;
  bytes(count: number): Uint8Array;
}

/** Random bytes that are drawn from the system at once: a draw costs about as much however many bytes it has. */
const POOL_BYTES = 4_096;

/** Cryptographically secure. */
export class SystemRandom implements Random {
  private pool: Buffer = Buffer.alloc(0);

  next(): number {
    // 53 bits, the precision of a double in [0, 1).
    const bytes = this.take(8);
    return (bytes.readUInt32LE(0) * 2 ** 21 + (bytes.readUInt32LE(4) >>> 11)) / 2 ** 53;
  }

  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  bytes(count: number): Uint8Array {
    return new Uint8Array(count > POOL_BYTES ? randomBytes(count) : this.take(count));
  }

  /** The next bytes of the pool. Each byte is returned once. */
  private take(count: number): Buffer {
    if (this.pool.byteLength < count) this.pool = randomBytes(POOL_BYTES);
    const taken = this.pool.subarray(0, count);
    this.pool = this.pool.subarray(count);
    return taken;
  }
}

/** Reproducible, not secure: splitmix32, the 32-bit form of SplitMix (G. Steele et al., 2014). */
export class SeededRandom implements Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  next(): number {
    return (this.uint32() * 2 ** 21 + (this.uint32() >>> 11)) / 2 ** 53;
  }

  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.uint32() & 0xff);
  }

  private uint32(): number {
    this.state = (this.state + 0x9e3779b9) >>> 0;
    let z = this.state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }
}
