import type { ErrorCode } from '../errors.js';

/** The port: receives measurements of the byte plane. */
export interface PeerObserver {
  /** A fetch by this process brought blocks `in`, or a fetch by a peer took blocks `out`. */
  onFetch(bytes: number, ms: number, direction: 'in' | 'out'): void;
  /** A fetch, push or ping by this process failed, or this process closed or refused a peer's connection. */
  onFailure(reason: ErrorCode): void;
  /** The bytes of a block did not match its digest, in a fetch by this process or in a push by a peer. */
  onIntegrityFailure(stage: 'fetch' | 'push'): void;
}

/** Ignores all measurements. */
export const SILENT: PeerObserver = { onFetch: () => {}, onFailure: () => {}, onIntegrityFailure: () => {} };
