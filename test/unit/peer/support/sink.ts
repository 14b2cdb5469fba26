import type { BlockKey, SealedBlock } from '../../../../src/core/block.js';
import type { FetchReservation, FetchSink } from '../../../../src/peer/client/fetch-exchange.js';

/** Keeps what a fetch brings, and checks that each reservation gets one end. */
export class MemorySink implements FetchSink {
  readonly places = new Map<BlockKey, Uint8Array>();
  readonly arrived: BlockKey[] = [];
  readonly aborted: BlockKey[] = [];
  readonly open = new Set<BlockKey>();
  onPlace: (block: SealedBlock) => void = () => {};
  onDone: (block: SealedBlock) => void | Promise<void> = () => {};
  wants: (block: SealedBlock) => boolean = () => true;

  reserve(block: SealedBlock, byteLength: number): FetchReservation | null {
    if (!this.wants(block)) return null;
    const bytes = new Uint8Array(byteLength);
    this.places.set(block.key, bytes);
    this.open.add(block.key);
    this.onPlace(block);
    return {
      memory: bytes,
      commit: () => {
        this.settle(block.key);
        this.arrived.push(block.key);
        return this.onDone(block);
      },
      abort: () => {
        this.settle(block.key);
        this.aborted.push(block.key);
      },
    };
  }

  private settle(key: BlockKey): void {
    if (!this.open.delete(key)) throw new Error(`block ${key} ended twice`);
  }
}
