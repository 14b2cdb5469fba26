import type { BlockKey, BlockMeta, LentBlock, SealedBlock } from '../../src/core/block.js';
import { Shard } from '../../src/core/shard.js';
import type { BlockPool } from '../../src/device/block-pool.js';
import type { DeviceBlock } from '../../src/device/device.js';
import { InternalError } from '../../src/errors.js';
import { Residents } from './residents.js';
import type { RoleOf, Tier, TierListener } from './tier.js';

interface HostBlock {
  readonly sealed: SealedBlock;
  readonly memory: DeviceBlock;
}

/** Memory of the host tier for a block whose bytes are still to come. Either `keep` or `drop` must follow. */
export interface HostPlace {
  readonly bytes: Uint8Array;
  /** The bytes are there and final. */
  keep(sealed: SealedBlock): void;
  drop(): void;
}

export interface HostTierOptions {
  /** Of blocks of `blockBytes`, with the tier's budget. */
  readonly pool: BlockPool;
  readonly blockBytes: number;
  readonly budgetBytes: number;
  /** What falls out of here goes there. */
  readonly below: Tier | null;
  readonly roleOf: RoleOf;
}

/** Host memory as a tier below a device that has memory of its own. */
export class HostTier implements Tier {
  readonly name = 'host';
  private readonly residents: Residents<HostBlock>;
  /** Counts resets: what was on its way before one is not taken after it. */
  private resets = 0;
  private listener: TierListener = { landed: () => {}, left: () => {} };

  constructor(private readonly options: HostTierOptions) {
    const { pool, below } = options;
    this.residents = new Residents<HostBlock>(new Shard(pool.capacityBlocks), {
      evicting: ({ sealed, memory }) => {
        if (below !== null && !below.has(sealed.key)) below.take(sealed, pool.bytes(memory));
      },
      free: ({ memory }) => pool.give(memory),
    });
  }

  get blocks(): number {
    return this.residents.size;
  }

  get capacityBlocks(): number {
    return this.options.pool.capacityBlocks;
  }

  get bytes(): number {
    return this.options.pool.size * this.options.blockBytes;
  }

  get budgetBytes(): number {
    return this.options.budgetBytes;
  }

  get accepts(): boolean {
    return true;
  }

  get hasRoom(): boolean {
    return this.options.pool.size < this.capacityBlocks;
  }

  listen(listener: TierListener): void {
    this.listener = listener;
  }

  has(key: BlockKey): boolean {
    return this.residents.has(key);
  }

  sealed(key: BlockKey): SealedBlock | null {
    return this.residents.get(key)?.sealed ?? null;
  }

  keys(): IterableIterator<BlockKey> {
    return this.residents.keys();
  }

  /** In the order in which they would have to make room. */
  *evictionOrder(): Generator<SealedBlock> {
    for (const { sealed } of this.residents.evictionOrder()) yield sealed;
  }

  view(key: BlockKey): LentBlock | null {
    this.residents.touch(key);
    return this.viewUnused(key);
  }

  /** The same for the tier below, which is no use of the block. */
  async lend(key: BlockKey): Promise<LentBlock | null> {
    return this.viewUnused(key);
  }

  pin(key: BlockKey): (() => void) | null {
    return this.residents.hold(key)?.release ?? null;
  }

  async read(key: BlockKey, into: Uint8Array): Promise<boolean> {
    const memory = this.residents.get(key)?.memory;
    if (memory === undefined) return false;
    into.set(this.options.pool.bytes(memory));
    return true;
  }

  /** Memory for a block, by dropping what is missed least, but not the block's parent. Null if all of it is in use. */
  place({ key, parent }: BlockMeta): HostPlace | null {
    const { pool, roleOf } = this.options;
    const memory = this.allocate(parent);
    if (memory === null) return null;
    const { resets } = this;
    let open = true;
    const close = () => {
      if (!open) throw new InternalError(`host memory of block ${key} was already given back or filled`);
      open = false;
    };
    return {
      bytes: pool.bytes(memory),
      keep: (sealed) => {
        close();
        if (resets !== this.resets || this.has(key)) return pool.give(memory);
        this.residents.insert(sealed, roleOf(sealed), { sealed, memory });
        this.listener.landed(sealed);
      },
      drop: () => {
        close();
        pool.give(memory);
      },
    };
  }

  async put(block: SealedBlock, bytes: Uint8Array): Promise<boolean> {
    this.take(block, bytes);
    return this.has(block.key);
  }

  take(block: SealedBlock, bytes: Uint8Array): void {
    if (this.has(block.key)) return;
    const place = this.place(block);
    if (place === null) return;
    place.bytes.set(bytes);
    place.keep(block);
  }

  reassign(roleOf: RoleOf): void {
    this.residents.reassign(roleOf);
  }

  reset(): number {
    this.resets++;
    const keys = this.residents.clear();
    for (const key of keys) this.listener.left(key, 'reset');
    return keys.length;
  }

  async idle(): Promise<void> {}

  /** Nothing may be on its way in. */
  async close(): Promise<void> {
    this.residents.clear();
    this.options.pool.close();
  }

  private viewUnused(key: BlockKey): LentBlock | null {
    const held = this.residents.hold(key);
    if (held === null) return null;
    const { sealed, memory } = held.value;
    const { pool } = this.options;
    return { block: sealed, bytes: pool.bytes(memory), shared: pool.sharedPlace(memory), release: held.release };
  }

  private allocate(parent: BlockKey | null): DeviceBlock | null {
    const { pool, below } = this.options;
    for (;;) {
      const memory = pool.take();
      if (memory !== null) return memory;
      const key = this.residents.evict(parent);
      if (key === null) return null;
      this.listener.left(key, below?.has(key) ? 'demoted' : 'evicted');
    }
  }
}
