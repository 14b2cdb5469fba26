import { createHash } from 'node:crypto';
import type { BlockKey, PinnedBlock, SealedBlock } from '../../../../src/core/block.js';
import type { Admission } from '../../../../src/core/durability.js';
import type { NoReservation, Reservation } from '../../../../src/core/reservation.js';
import type { SharedPlace } from '../../../../src/core/shared-place.js';
import { digestOf } from '../../../../src/digest.js';
import type { SharedMemory } from '../../../../src/native/shared-memory.js';
import type { BlockHost } from '../../../../src/peer/server/block-host.js';

export const BLOCK_BYTES = 40_000;
export const FINGERPRINT = 'f'.repeat(64);
const MAKER = { id: 'carol', incarnation: '0003' };

export function keyOf(name: string): BlockKey {
  return createHash('sha256').update(name).digest('hex');
}

export function bytesOf(name: string, length = BLOCK_BYTES): Uint8Array {
  const seed = createHash('sha256').update(`bytes of ${name}`).digest();
  return Uint8Array.from({ length }, (_, i) => seed[i % 32]! ^ (i >> 5) ^ (i >> 11));
}

/** A run of blocks of one prompt, with their bytes. */
export function blocksOf(
  prompt: string,
  count: number,
  length = BLOCK_BYTES,
): { block: SealedBlock; bytes: Uint8Array }[] {
  return Array.from({ length: count }, (_, index) => {
    const bytes = bytesOf(`${prompt} ${index}`, length);
    const key = keyOf(`${prompt} ${index}`);
    const parent = index === 0 ? null : keyOf(`${prompt} ${index - 1}`);
    const segment = keyOf(`${prompt} 0`);
    return { block: { key, parent, index, segment, digest: digestOf(bytes), maker: MAKER }, bytes };
  });
}

/** Blocks in plain memory, which counts pins and reservations. */
export class MemoryHost implements BlockHost {
  readonly blocks = new Map<BlockKey, { block: SealedBlock; bytes: Uint8Array; shared: SharedPlace | null }>();
  private places = 0;
  /** Blocks whose reservation is neither committed nor aborted. */
  readonly admitted = new Set<BlockKey>();
  pinned = 0;
  pinCalls = 0;
  admissions = 0;
  /** Blocks for which there is room. */
  room = Number.POSITIVE_INFINITY;
  /** How blocks were to be admitted. */
  readonly asked: Admission[] = [];
  /** Called in `pin`, before the block is given. */
  beforePin: (key: BlockKey) => Promise<void> | void = () => {};
  beforeAdmit: (block: SealedBlock) => void = () => {};
  beforeCommit: (key: BlockKey) => Promise<void> | void = () => {};

  /** `memory` is where blocks are put, one behind the other, if processes of the host are to find them there. */
  constructor(
    private readonly blockBytes = BLOCK_BYTES,
    readonly memory: SharedMemory | null = null,
  ) {}

  add(blocks: readonly { block: SealedBlock; bytes: Uint8Array }[]): this {
    for (const { block, bytes } of blocks) this.blocks.set(block.key, { block, ...this.keep(bytes) });
    return this;
  }

  /** Takes blocks up; gives what a push of them is told. */
  offer(blocks: readonly { block: SealedBlock; bytes: Uint8Array }[]): [SealedBlock[], BlockHost['pin']] {
    this.add(blocks);
    return [blocks.map(({ block }) => block), (key) => this.pin(key)];
  }

  private keep(bytes: Uint8Array): { bytes: Uint8Array; shared: SharedPlace | null } {
    if (this.memory === null) return { bytes, shared: null };
    const offset = this.places++ * this.blockBytes;
    this.memory.bytes.set(bytes, offset);
    const { fileDescriptor } = this.memory;
    return { bytes: this.memory.bytes.subarray(offset, offset + bytes.byteLength), shared: { fileDescriptor, offset } };
  }

  isShared(key: BlockKey): boolean {
    return this.blocks.get(key)?.shared != null;
  }

  async pin(key: BlockKey): Promise<PinnedBlock | null> {
    this.pinCalls++;
    await this.beforePin(key);
    const entry = this.blocks.get(key);
    if (!entry) return null;
    return this.pinEntry(entry);
  }

  private pinEntry(entry: { block: SealedBlock; bytes: Uint8Array; shared?: SharedPlace | null }): PinnedBlock {
    this.pinned++;
    let held = true;
    const unpin = () => {
      if (!held) throw new Error(`block ${entry.block.key} was unpinned twice`);
      held = false;
      this.pinned--;
    };
    return { shared: null, ...entry, unpin };
  }

  admit(block: SealedBlock, admission: Admission = 'evict'): Reservation<Uint8Array, Promise<void>> | NoReservation {
    this.asked.push(admission);
    this.beforeAdmit(block);
    if (this.blocks.has(block.key) || this.admitted.has(block.key)) return 'present';
    if (this.room === 0) return 'full';
    this.room--;
    this.admissions++;
    this.admitted.add(block.key);
    const memory = new Uint8Array(this.blockBytes);
    const settle = () => {
      if (!this.admitted.delete(block.key)) throw new Error(`block ${block.key} was settled twice`);
    };
    return {
      memory,
      commit: async () => {
        await this.beforeCommit(block.key);
        settle();
        this.blocks.set(block.key, { block, bytes: memory, shared: null });
      },
      abort: () => {
        settle();
        this.room++;
      },
    };
  }
}
