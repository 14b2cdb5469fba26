import type { BlockKey, SealedBlock } from '../../../../src/core/block.js';
import type { ShoalError } from '../../../../src/errors.js';
import type { FetchSink } from '../../../../src/peer/client/fetch-exchange.js';

/** Keeps what a fetch brings, and checks that each place gets one end. */
export class MemorySink implements FetchSink {
  readonly places = new Map<BlockKey, Uint8Array>();
  readonly arrived: BlockKey[] = [];
  readonly failures: { key: BlockKey; error: ShoalError }[] = [];
  readonly open = new Set<BlockKey>();
  onPlace: (block: SealedBlock) => void = () => {};
  onDone: (block: SealedBlock) => void | Promise<void> = () => {};
  wants: (block: SealedBlock) => boolean = () => true;

  place(block: SealedBlock, byteLength: number): Uint8Array | null {
    if (!this.wants(block)) return null;
    const bytes = new Uint8Array(byteLength);
    this.places.set(block.key, bytes);
    this.open.add(block.key);
    this.onPlace(block);
    return bytes;
  }

  done(block: SealedBlock): void | Promise<void> {
    this.settle(block.key);
    this.arrived.push(block.key);
    return this.onDone(block);
  }

  failed(block: SealedBlock, error: ShoalError): void {
    this.settle(block.key);
    this.failures.push({ key: block.key, error });
  }

  private settle(key: BlockKey): void {
    if (!this.open.delete(key)) throw new Error(`block ${key} ended twice`);
  }
}
