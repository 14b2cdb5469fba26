import type { BlockKey, BlockMeta } from '../../../../src/core/block.js';
import { blockBytes } from '../../../../src/core/kv-layout.js';
import type { Reservation } from '../../../../src/core/reservation.js';
import type { Device, DeviceBlock } from '../../../../src/device/device.js';
import type { PrefixCache, PrefixRequest, PreparedPrefix } from '../../../../src/engine/prefix-cache.js';

/** A cache of one worker without peers: blocks in device memory, kept until `clear`. */
export class MemoryCache implements PrefixCache {
  /** Prefixes handed out and still pinned; blocks reserved and neither committed nor aborted; keys claimed and not settled. */
  pins = 0;
  reservations = 0;
  prepared = 0;
  /** `prepare` waits for this promise, if set. */
  gate: Promise<void> | null = null;
  private readonly blocks = new Map<BlockKey, DeviceBlock>();
  private readonly _claims = new Map<BlockKey, object>();
  private changed = new Set<() => void>();

  constructor(private readonly device: Device) {}

  get size(): number {
    return this.blocks.size;
  }

  keys(): BlockKey[] {
    return [...this.blocks.keys()];
  }

  get claims(): number {
    return this._claims.size;
  }

  async prepare(prefix: PrefixRequest, signal: AbortSignal): Promise<PreparedPrefix> {
    this.prepared++;
    if (this.gate !== null) await raceAbort(this.gate, signal);
    for (;;) {
      const found = this.found(prefix.blocks);
      const next = prefix.blocks[found.length];
      if (next === undefined || !this._claims.has(next.key)) return this.pin(found, prefix.blocks.slice(found.length));
      await raceAbort(this.change(), signal);
    }
  }

  reserve({ key }: BlockMeta): Reservation<DeviceBlock> | null {
    if (this.blocks.has(key)) return null;
    const block = this.device.allocateBlock();
    if (block === null) return null;
    this.reservations++;
    return {
      memory: block,
      commit: () => {
        this.reservations--;
        this.blocks.set(key, block);
        this._claims.delete(key);
        this.tell();
      },
      abort: () => {
        this.reservations--;
        this.device.freeBlock(block);
      },
    };
  }

  /** Copies all blocks of another cache, on any device. @param change what happens to the bytes of each on the way */
  async copyFrom(other: MemoryCache, change = async (bytes: Uint8Array): Promise<Uint8Array> => bytes): Promise<void> {
    const bytes = new Uint8Array(blockBytes(this.device.layout));
    for (const [key, theirs] of other.blocks) {
      const block = this.device.allocateBlock();
      if (block === null) throw new Error('cannot copy the blocks of another cache: the device is full');
      await other.device.download(theirs, bytes);
      await this.device.upload(block, await change(bytes));
      this.blocks.set(key, block);
    }
  }

  /** Drops all but the first `keep` blocks, in order of insertion. */
  clear(keep = 0): void {
    for (const [key, block] of [...this.blocks].slice(keep)) {
      this.blocks.delete(key);
      this.device.freeBlock(block);
    }
  }

  private found(blocks: readonly BlockMeta[]): DeviceBlock[] {
    const found: DeviceBlock[] = [];
    for (const { key } of blocks) {
      const block = this.blocks.get(key);
      if (block === undefined) break;
      found.push(block);
    }
    return found;
  }

  private pin(blocks: DeviceBlock[], rest: readonly BlockMeta[]): PreparedPrefix {
    const self = {};
    let pinned = true;
    this.pins++;
    return {
      blocks,
      localBlocks: blocks.length,
      remoteBlocks: 0,
      claim: () => {
        if (rest.some(({ key }) => this._claims.has(key) || this.blocks.has(key))) return false;
        for (const { key } of rest) this._claims.set(key, self);
        return true;
      },
      unpin: () => {
        if (pinned) this.pins--;
        pinned = false;
      },
      settle: () => {
        for (const [key, claimer] of this._claims) if (claimer === self) this._claims.delete(key);
        this.tell();
      },
    };
  }

  private change(): Promise<void> {
    return new Promise((resolve) => {
      this.changed.add(resolve);
    });
  }

  private tell(): void {
    const waiting = this.changed;
    this.changed = new Set();
    for (const resolve of waiting) resolve();
  }
}

function raceAbort(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    promise.then(resolve, reject);
  });
}
