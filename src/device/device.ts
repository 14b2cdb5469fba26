import type { KvLayout } from '../core/kv-layout.js';
import type { SharedPlace } from '../core/shared-place.js';
import type { DeviceAllocator } from '../ort/device-memory.js';
import type { Value } from '../ort/value.js';

/**
 * Memory of one device in which K/V lives, and the copies inside it. The engine and the worker's cache know a device only
 * by this port; a block never leaves it unless `download` is called.
 */
export interface Device {
  readonly kind: 'cpu' | 'webgpu' | 'cuda';
  readonly layout: KvLayout;

  /** Takes a block's memory from the pool. Null when the pool's budget is used up: evict, then ask again. Contents are undefined. */
  allocateBlock(): DeviceBlock | null;
  /** Gives it back. The caller must be the last that reads it. */
  freeBlock(block: DeviceBlock): void;

  /** Copies tokens `[position, position + blockTokens)` of a slot out into the block. Resolves when the device has finished writing. */
  cut(slot: KvSlot, position: number, block: DeviceBlock): Promise<void>;
  /** Copies a run of blocks into a slot, the first at token `position`. Resolves when the sequence may be run. */
  join(slot: KvSlot, position: number, blocks: readonly DeviceBlock[]): Promise<void>;

  /** The block's bytes as host memory that can be read and written in place, or null where the device has memory of its own. Valid until `freeBlock`. */
  view(block: DeviceBlock): Uint8Array | null;
  /** Where other processes of this host can read the block's bytes, or null where they cannot. Valid until `freeBlock`. */
  sharedPlace(block: DeviceBlock): SharedPlace | null;
  /** Host to device. `bytes` has exactly `blockBytes(layout)` bytes. */
  upload(block: DeviceBlock, bytes: Uint8Array): Promise<void>;
  /** Device to host. */
  download(block: DeviceBlock, into: Uint8Array): Promise<void>;

  /** How many sequences can run in place at once. A row of the batch is a slot; rows `[0, n)` are decoded together. */
  readonly slots: number;
  /**
   * The row in which each sequence begins, beyond those of the batch, where a graph can be shown rows from row 0 on only; to decode, the sequence is
   * moved to a row of the batch. Null where a graph can be shown any row.
   */
  readonly prefillRow: number | null;
  slot(row: number): KvSlot;
  /**
   * `2 x layers` tensors `[count, kvHeads, capacityTokens, headDim]` (K0, V0, K1, ...) over rows `[first, first + count)`, to be bound as past and
   * present alike. Where there is a prefill row, it is shown by itself, and others from row 0 on. Owned by the device.
   */
  rows(first: number, count: number): readonly Value[];
  /** Copies the first `tokens` tokens of a row to another row. */
  moveRow(from: number, to: number, tokens: number): Promise<void>;
  /** A slot over tensors `[1, kvHeads, tokens, headDim]` of a graph that hands its K/V on. Releasing the tensors stays the caller's business. */
  looseSlot(values: readonly Value[]): KvSlot;
  /** Fresh tensors for such a slot, of so many tokens. The caller must release them. Contents are undefined. */
  looseTensors(tokens: number): Promise<readonly Value[]>;
  /** Where such a graph is to make its K/V. */
  readonly loosePlace: 'cpu' | DeviceAllocator;

  /** Counts what a run took from the host and gave to it, in bytes. Does nothing where the device works in the host's memory. */
  countRun(inBytes: number, outBytes: number): void;

  memory(): DeviceMemory;
  /** Bytes copied since the start. */
  copies(): DeviceCopies;
  /** Frees everything. No slot or block may be in use. */
  close(): void;
}

/** What every kind of device is told. */
export interface DeviceOptions {
  readonly layout: KvLayout;
  /** Memory that blocks may take. */
  readonly blockBudgetBytes: number;
  /** Sequences that can run in place at once, and the tokens that each may have. */
  readonly slots: number;
  readonly capacityTokens: number;
}

/** An opaque handle; only the device that made it can read it. */
export interface DeviceBlock {
  readonly id: number;
}

/** K/V of one running sequence: `[2 x layers]` buffers of `[kvHeads, capacityTokens, headDim]`. */
export interface KvSlot {
  readonly capacityTokens: number;
}

export interface DeviceMemory {
  /** Memory of blocks, used and allowed. */
  readonly blockBytes: number;
  readonly blockBudgetBytes: number;
  /** Memory of the buffers of running sequences. */
  readonly sequenceBytes: number;
  readonly blocks: number;
  /** Blocks that may be in use at once. What the budget has room for, and fewer once the device turns out to have less memory than that. */
  readonly capacityBlocks: number;
}

/** Bytes copied between the host and the device, and within the device. */
export interface DeviceCopies {
  readonly h2d: number;
  readonly d2h: number;
  readonly d2d: number;
}
