import type { ErrorCode } from '../errors.js';

/** Is told what the byte plane does, for metrics. */
export interface PeerObserver {
  /** Blocks came `in` from a peer that was asked, or went `out` to one that asked. */
  onFetch(bytes: number, ms: number, direction: 'in' | 'out'): void;
  /** A fetch, push or ping of ours came to nothing, or a peer was turned away. */
  onFailure(reason: ErrorCode): void;
  /** The bytes of a block did not agree with its digest, in a fetch or when it was pushed here. */
  onIntegrityFailure(stage: 'fetch' | 'push'): void;
}

/** Tells nobody. */
export const SILENT: PeerObserver = { onFetch: () => {}, onFailure: () => {}, onIntegrityFailure: () => {} };
