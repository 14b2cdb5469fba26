import type { BlockKey, BlockMeta } from '../core/block.js';

/** The prompt tokens that an engine has accepted and not computed yet. */

/** One sequence's part of the backlog. */
export interface BacklogPart {
  /** The first `blocks` blocks of the prompt are on the device: computed or loaded. */
  have(blocks: number): void;
  /** The prompt is computed, or is not going to be. Idempotent. */
  end(): void;
}

/** Counts a block that several sequences wait for once, because one of them computes it for all. */
export class Backlog {
  /** Sequences that wait for each block. */
  private readonly waiting = new Map<BlockKey, number>();
  /** Tokens after the last full block of each prompt. */
  private restTokens = 0;

  constructor(private readonly blockTokens: number) {}

  get tokens(): number {
    return this.waiting.size * this.blockTokens + this.restTokens;
  }

  /** Adds a prompt of `tokens` tokens with these full blocks. */
  add(blocks: readonly BlockMeta[], tokens: number): BacklogPart {
    for (const { key } of blocks) this.waiting.set(key, (this.waiting.get(key) ?? 0) + 1);
    const rest = tokens - blocks.length * this.blockTokens;
    this.restTokens += rest;
    let from = 0;
    let open = true;
    return {
      have: (count) => {
        if (!open) return;
        // Another sequence that waits for such a block finds it on the device.
        for (; from < Math.min(count, blocks.length); from++) this.waiting.delete(blocks[from]!.key);
      },
      end: () => {
        if (!open) return;
        open = false;
        this.restTokens -= rest;
        for (; from < blocks.length; from++) this.leave(blocks[from]!.key);
      },
    };
  }

  private leave(key: BlockKey): void {
    const others = (this.waiting.get(key) ?? 1) - 1;
    if (others > 0) this.waiting.set(key, others);
    else this.waiting.delete(key);
  }
}
