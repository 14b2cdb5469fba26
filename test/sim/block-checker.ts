import type { BlockKey } from '../../src/core/block.js';
import { SIM_BLOCK_BYTES } from './sim-model.js';
import type { SimWorker } from './sim-worker.js';
import type { World } from './world.js';

/**
 * Knows, apart from the code under test, which worker holds which block: right bytes, no loss of what had enough copies, and enough copies in
 * the end.
 */

interface Known {
  readonly holders: Set<SimWorker>;
  /** Holders that died since there were last enough; null before there were, and after an eviction. */
  deaths: number | null;
}

export class BlockChecker {
  private readonly right = new Map<BlockKey, Uint8Array>();
  private readonly blocks = new Map<BlockKey, Known>();
  private readonly evicted = new Set<BlockKey>();
  private readonly held = new Map<SimWorker, Set<BlockKey>>();

  constructor(private readonly world: World) {}

  /** Learns the right bytes of blocks. */
  learn(blocks: ReadonlyMap<BlockKey, Uint8Array>): void {
    for (const [key, bytes] of blocks) this.right.set(key, bytes);
  }

  /** Follows a worker to its death. */
  mind(worker: SimWorker): void {
    this.held.set(worker, new Set());
    worker.process.onDeath(() => this.died(worker));
  }

  /** Follows the blocks of a worker. To be called once it has parts. */
  watch(worker: SimWorker): void {
    worker.parts!.store.listen({
      added: ({ key }) => this.added(worker, key),
      removed: (key, reason) => this.removed(worker, key, reason),
    });
  }

  /** Learns the blocks that a worker found on its disk. */
  found(worker: SimWorker): void {
    const held = this.held.get(worker);
    for (const key of worker.parts!.store.keys()) if (held && !held.has(key)) this.added(worker, key);
  }

  /**
   * The blocks that have fewer copies than they should, though no worker has evicted them, and there is room for a copy: repair evicts nothing, and
   * in a pooled fleet nor do new copies.
   */
  lacking(): BlockKey[] {
    const { replicas, durability } = this.world;
    const enough = Math.min(replicas, this.held.size);
    const roomy = new Set([...this.held.keys()].filter(hasRoom));
    const isRoomFor = (holders: ReadonlySet<SimWorker>) => {
      const others = [...this.held.keys()].filter((worker) => !holders.has(worker));
      // Which of the others are to have the copies is not known here. In a strict fleet these have made room before.
      return durability === 'strict'
        ? others.some((worker) => roomy.has(worker))
        : others.every((worker) => roomy.has(worker));
    };
    return [...this.blocks].flatMap(([key, { holders }]) => {
      const lacks = holders.size > 0 && holders.size < enough && !this.evicted.has(key);
      return lacks && isRoomFor(holders) ? [key] : [];
    });
  }

  /** How many workers have a block. */
  copies(key: BlockKey): number {
    return this.blocks.get(key)?.holders.size ?? 0;
  }

  /** All blocks with their copies. */
  get counts(): { readonly blocks: number; readonly copies: number; readonly evicted: number } {
    const sizes = [...this.blocks.values()].map(({ holders }) => holders.size);
    const copies = sizes.reduce((sum, size) => sum + size, 0);
    return { blocks: sizes.filter((size) => size > 0).length, copies, evicted: this.evicted.size };
  }

  private added(worker: SimWorker, key: BlockKey): void {
    const held = this.held.get(worker);
    if (!held) return;
    held.add(key);
    const block = this.of(key);
    block.holders.add(worker);
    if (block.holders.size >= this.world.replicas) block.deaths = 0;
    this.checkBytes(worker, key);
  }

  private removed(worker: SimWorker, key: BlockKey, reason: string): void {
    this.held.get(worker)?.delete(key);
    const block = this.of(key);
    block.holders.delete(worker);
    block.deaths = null;
    this.evicted.add(key);
    if (reason === 'damaged' && this.world.disks.get(worker.process.host)?.wasDamaged) return;
    if (reason !== 'evicted') this.world.violate('no block is lost', `${worker.id} lost ${short(key)}: ${reason}`);
  }

  private died(worker: SimWorker): void {
    for (const key of this.held.get(worker) ?? []) {
      const block = this.of(key);
      block.holders.delete(worker);
      if (block.deaths === null) continue;
      block.deaths++;
      if (block.holders.size > 0) continue;
      if (block.deaths < this.world.replicas)
        this.world.violate('no block is lost', `${short(key)} is gone after ${block.deaths} deaths`);
      block.deaths = null;
    }
    this.held.delete(worker);
  }

  private checkBytes(worker: SimWorker, key: BlockKey): void {
    const right = this.right.get(key);
    if (right === undefined) {
      this.world.violate('right or nothing', `${worker.id} has block ${short(key)}, which no prompt has`);
      return;
    }
    const pin = worker.parts!.store.pinOnDevice(key);
    if (pin === null) return;
    const bytes = worker.device.bytes(pin.block);
    pin.unpin();
    if (!Buffer.from(right.buffer, right.byteOffset, right.byteLength).equals(bytes))
      this.world.violate('right or nothing', `${worker.id} has wrong bytes for block ${short(key)}`);
  }

  private of(key: BlockKey): Known {
    const known = this.blocks.get(key) ?? { holders: new Set(), deaths: null };
    this.blocks.set(key, known);
    return known;
  }
}

function hasRoom({ parts }: SimWorker): boolean {
  return parts?.store.tiers.some(({ bytes, budgetBytes }) => bytes + SIM_BLOCK_BYTES <= budgetBytes) ?? false;
}

function short(key: BlockKey): string {
  return key.slice(0, 8);
}
