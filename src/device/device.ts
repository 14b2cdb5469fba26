import type { KvLayout } from '../core/kv-layout.js';
import type { SharedPlace } from '../core/shared-place.js';
import type { DeviceAllocator } from '../ort/device-memory.js';
import type { Value } from '../ort/value.js';

/**
 * The port to the memory of one device, which holds K/V in blocks and in slots. Engine and cache know devices only through this port. A
 * block's bytes leave the device only by `download`.
 *
 * A slot is the K/V memory of one sequence. A slot of the device's own buffers is a row of these buffers; a loose slot consists of tensors
 * that a hand-on graph made.
 */
export interface Device {
  readonly kind: 'cpu' | 'webgpu' | 'cuda';
  readonly layout: KvLayout;
  /** The greatest number of new tokens of a sequence in one run that the device computes right; infinite if there is no bound. */
  readonly longestRunTokens: number;

  /** Allocates an uninitialized block. Null if the budget is used up: the caller evicts a block and tries again. */
  allocateBlock(): DeviceBlock | null;
  /** Frees a block. Nothing may be reading it. */
  freeBlock(block: DeviceBlock): void;

  /**
   * Copies tokens `[position, position + blockTokens)` of a slot into a block, and the slot's states. Resolves when the device has finished
   * writing.
   */
  cut(slot: KvSlot, position: number, block: DeviceBlock): Promise<void>;
  /** Copies consecutive blocks into a slot, the first to token `position`, and the states of the last. Resolves when a graph may read them. */
  join(slot: KvSlot, position: number, blocks: readonly DeviceBlock[]): Promise<void>;

  /** The block's bytes as host memory, in place; null if the device has separate memory. Valid until `freeBlock`. */
  view(block: DeviceBlock): Uint8Array | null;
  /** Where other processes of this host can read the block's bytes; null if they cannot. Valid until `freeBlock`. */
  sharedPlace(block: DeviceBlock): SharedPlace | null;
  /** Copies `bytes`, exactly `blockBytes(layout)` of them, from the host to the block. */
  upload(block: DeviceBlock, bytes: Uint8Array): Promise<void>;
  /** Copies the block's bytes to the host. */
  download(block: DeviceBlock, into: Uint8Array): Promise<void>;

  /** The number of slots for in-place graphs. Slot i is row i of the batch; rows `[0, n)` decode together. */
  readonly slots: number;
  /**
   * An extra row in which each sequence is prefilled before it moves to a row of the batch, if a view of rows must start at row 0. Null if a
   * view may start at any row.
   */
  readonly prefillRow: number | null;
  /** The slot in a row of the device's buffers. */
  slot(row: number): KvSlot;
  /**
   * Views `[count, kvHeads, capacityTokens, headDim]` of rows `[first, first + count)`, one per tensor (K0, V0, K1, ...), to be bound as both
   * past and present. A prefill row, if there is one, has a separate view, and views of other rows start at row 0. The device owns the views.
   */
  rows(first: number, count: number): readonly Value[];
  /** Copies the first `tokens` tokens of a row to another row. */
  moveRow(from: number, to: number, tokens: number): Promise<void>;
  /**
   * A loose slot over tensors `[1, kvHeads, tokens, headDim]`, then the state tensors of layers without K/V. The caller still owns them and must
   * release them.
   */
  looseSlot(values: readonly Value[]): KvSlot;
  /** Allocates tensors for a loose slot of `tokens` tokens: K/V uninitialized, states 0 as before the first token. The caller must release them. */
  looseTensors(tokens: number): Promise<readonly Value[]>;
  /** Where a hand-on graph must allocate its K/V. */
  readonly loosePlace: 'cpu' | DeviceAllocator;

  /** Counts the bytes that a run copied from the host and to the host. Does nothing if the device is host memory. */
  countRun(inBytes: number, outBytes: number): void;

  memory(): DeviceMemory;
  /** The bytes copied since the device was opened. */
  copies(): DeviceCopies;
  /** Frees everything. No slot or block may be in use. */
  close(): void;
}

/** The options common to all kinds of device. */
export interface DeviceOptions {
  readonly layout: KvLayout;
  /** The maximum size of all blocks together. */
  readonly blockBudgetBytes: number;
  /** The number of slots for in-place graphs. */
  readonly slots: number;
  /** The maximum number of tokens of each slot. */
  readonly capacityTokens: number;
}

/** An opaque handle of a block, valid for the device that allocated it. */
export interface DeviceBlock {
  /** No two blocks that the device ever allocated have the same. */
  readonly id: number;
}

/** An opaque handle of the K/V memory of one sequence: `2 x layers` tensors `[kvHeads, capacityTokens, headDim]`. */
export interface KvSlot {
  readonly capacityTokens: number;
}

export interface DeviceMemory {
  /** Size of all allocated blocks. */
  readonly blockBytes: number;
  readonly blockBudgetBytes: number;
  /** Size of the slots' buffers. */
  readonly sequenceBytes: number;
  /** The number of allocated blocks. */
  readonly blocks: number;
  /** The maximum number of blocks: as many as fit the budget, or fewer once the device has run out of memory. */
  readonly capacityBlocks: number;
}

/** Bytes copied between the host and the device, and within the device. */
export interface DeviceCopies {
  readonly h2d: number;
  readonly d2h: number;
  readonly d2d: number;
}
