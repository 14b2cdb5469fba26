import type { BlockKey, BlockMeta, BlockRole, SealedBlock } from '../../../../src/core/block.js';
import { blockKeys, rootSeed } from '../../../../src/core/key.js';
import { blockBytes, type KvLayout } from '../../../../src/core/kv-layout.js';
import { Shard } from '../../../../src/core/shard.js';
import { CpuDevice } from '../../../../src/device/cpu.js';
import { OrtRuntime } from '../../../../src/ort/runtime.js';
import { digestOf } from '../../../../src/peer/digest.js';
import { type BlockOrigin, BlockStore } from '../../../../workers/block-store.js';
import { FINGERPRINT } from '../../../support/announcement.js';

export const LAYOUT: KvLayout = { layers: 1, kvHeads: 1, headDim: 4, blockTokens: 4, elementType: 'float32' };
export const BLOCK_BYTES = blockBytes(LAYOUT);

/** The blocks of a prompt of no meaning, the same for the same name. */
export function chain(name: string, blocks: number): BlockMeta[] {
  const tokens = Uint32Array.from({ length: blocks * LAYOUT.blockTokens }, (_, i) => i);
  return blockKeys(tokens, rootSeed({ fingerprint: FINGERPRINT, adapter: '', salt: name }), LAYOUT.blockTokens);
}

/** A store over a real device that has room for so many blocks. `close` says what it left behind. */
export class Cache {
  readonly runtime = OrtRuntime.open();
  readonly device: CpuDevice;
  readonly store: BlockStore;
  readonly shard: Shard;
  /** What listeners were told: what is here, and how each block came and went. */
  readonly told = new Set<BlockKey>();
  readonly events: string[] = [];
  role: BlockRole = 'guest';

  constructor(readonly budgetBlocks: number) {
    // A device takes whole slabs; the budget is in bytes and need not be whole blocks.
    const blockBudgetBytes = budgetBlocks * BLOCK_BYTES + BLOCK_BYTES - 1;
    this.device = new CpuDevice({
      runtime: this.runtime,
      layout: LAYOUT,
      blockBudgetBytes,
      slots: 1,
      capacityTokens: 8,
    });
    this.shard = new Shard(budgetBlocks);
    this.store = new BlockStore(this.device, this.shard, () => this.role);
    this.store.listen({
      added: ({ key }, origin) => {
        if (this.told.has(key)) throw new Error(`${key} was told to be added twice`);
        this.told.add(key);
        this.events.push(`+${origin}`);
      },
      removed: (key, reason) => {
        if (!this.told.delete(key)) throw new Error(`${key} was told to be removed, and was not here`);
        this.events.push(`-${reason}`);
      },
    });
  }

  /** Puts blocks in that are full of their keys' own bytes. */
  fill(blocks: readonly BlockMeta[], origin: BlockOrigin = 'computed'): SealedBlock[] {
    return blocks.map((meta) => {
      const place = this.store.place(meta);
      if (typeof place === 'string') throw new Error(`no place for block ${meta.index}: ${place}`);
      const bytes = this.store.bytes(place.block);
      bytes.fill(markOf(meta.key));
      const sealed = { ...meta, digest: digestOf(bytes) };
      place.commit(sealed, origin);
      return sealed;
    });
  }

  /** How many of the blocks are here, from the first. */
  run(blocks: readonly BlockMeta[]): number {
    const gap = blocks.findIndex(({ key }) => !this.store.has(key));
    return gap === -1 ? blocks.length : gap;
  }

  close(): string[] {
    this.store.reset();
    const left = this.device.memory().blocks;
    if (left > 0) return [`${left} blocks in use`];
    this.device.close();
    this.runtime.release();
    return [];
  }
}

export function markOf(key: BlockKey): number {
  return Number.parseInt(key.slice(0, 2), 16);
}
