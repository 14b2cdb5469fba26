import type { BlockKey } from '../core/block.js';
import type { ErrorCode } from '../errors.js';

/** A block whose bytes did not match its digest. */
export interface DamagedBlock {
  /** In a fetch by this process, or in a push by the peer. */
  readonly stage: 'fetch' | 'push';
  /** ID of the process that sent the block. */
  readonly peer: string;
  readonly block: BlockKey;
}

/** The port: receives measurements of the transfers of blocks. */
export interface PeerObserver {
  /** A fetch by this process brought blocks `in`, or a fetch by a peer took blocks `out`. */
  onFetch(bytes: number, ms: number, direction: 'in' | 'out'): void;
  /** A fetch, push or ping by this process failed, or this process closed or refused a peer's connection. */
  onFailure(reason: ErrorCode): void;
  onIntegrityFailure(damaged: DamagedBlock): void;
}

/** Ignores all measurements. */
export const SILENT: PeerObserver = { onFetch: () => {}, onFailure: () => {}, onIntegrityFailure: () => {} };
