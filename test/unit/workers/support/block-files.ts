import type { BlockKey } from '../../../../src/core/block.js';
import type { BlockFiles } from '../../../../workers/cache/block-folder.js';

/** Files in memory that outlive the tier over them, and a disk that refuses what it is told to. */
export class MemoryFiles implements BlockFiles {
  readonly files = new Map<BlockKey, Uint8Array>();
  /** Where set, what is asked of the disk fails with it. */
  refuses: Partial<Record<'write' | 'read' | 'remove', Error>> = {};
  /** Files that the disk does not let go of. */
  readonly stuck = new Set<BlockKey>();
  /** Where set, writes wait for it. */
  gate: Promise<void> | null = null;
  /** Where set, reads do. */
  readGate: Promise<void> | null = null;
  writes = 0;
  reads = 0;
  probes = 0;
  closed = false;
  /** Where set, lists wait for it. */
  listGate: Promise<void> | null = null;
  /** Tries to remove a file. */
  removals = 0;
  /** Bytes beyond which a write is a mistake of whoever writes. */
  budgetBytes = Number.POSITIVE_INFINITY;

  get bytes(): number {
    return [...this.files.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  async list(): Promise<{ key: BlockKey; byteLength: number }[]> {
    await this.listGate;
    return [...this.files].map(([key, { byteLength }]) => ({ key, byteLength }));
  }

  async write(key: BlockKey, parts: readonly Uint8Array[]): Promise<void> {
    this.writes++;
    await this.gate;
    if (this.refuses.write) throw this.refuses.write;
    this.files.set(key, Buffer.concat(parts));
    if (this.bytes > this.budgetBytes) throw new Error(`${this.bytes} bytes on a disk of ${this.budgetBytes}`);
  }

  async read(key: BlockKey, into: Uint8Array, position: number): Promise<boolean> {
    this.reads++;
    await this.readGate;
    if (this.refuses.read) throw this.refuses.read;
    const file = this.files.get(key)?.subarray(position, position + into.byteLength);
    if (file?.byteLength !== into.byteLength) return false;
    into.set(file);
    return true;
  }

  async remove(key: BlockKey): Promise<void> {
    this.removals++;
    if (this.refuses.remove) throw this.refuses.remove;
    if (this.stuck.has(key)) throw new Error('EPERM: operation not permitted');
    this.files.delete(key);
  }

  async probe(): Promise<void> {
    this.probes++;
    await this.gate;
    if (this.refuses.write) throw this.refuses.write;
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}
