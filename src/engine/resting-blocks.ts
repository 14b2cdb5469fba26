import type { DeviceBlock } from '../device/device.js';

/** Which blocks' bytes lie in each row. */

/**
 * Remembers of each row the blocks whose bytes are its first tokens, also after its sequence has ended: a sequence that begins with the same
 * blocks continues from there, and they need not be copied again. A block is identified by its id, which the device never reuses. So whether a
 * block may be used at all remains the cache's decision, and a row adds nothing to the cache.
 */
export class RestingBlocks {
  /** For each row, the ids of the blocks from token 0 on. */
  private readonly rows: number[][];

  constructor(
    rows: number,
    private readonly blockTokens: number,
  ) {
    this.rows = Array.from({ length: rows }, () => []);
  }

  /** How many of these blocks, from the first on, the row has. */
  common(row: number, blocks: readonly DeviceBlock[]): number {
    const ids = this.rows[row]!;
    let count = 0;
    while (count < blocks.length && count < ids.length && blocks[count]!.id === ids[count]) count++;
    return count;
  }

  /** The row is about to be written from this token on. */
  truncate(row: number, tokens: number): void {
    const ids = this.rows[row]!;
    ids.length = Math.min(ids.length, Math.floor(tokens / this.blockTokens));
  }

  /** The row has a block at `position`, as the copy of the block or as its origin. */
  has(row: number, position: number, { id }: DeviceBlock): void {
    const ids = this.rows[row]!;
    // Behind a gap it would not be found.
    if (position === ids.length * this.blockTokens) ids.push(id);
  }

  /** The first tokens of a row were copied to another row. */
  copied(from: number, to: number, tokens: number): void {
    this.rows[to] = this.rows[from]!.slice(0, Math.floor(tokens / this.blockTokens));
  }

  /** Nothing is known of any row. */
  clear(): void {
    for (const ids of this.rows) ids.length = 0;
  }
}
