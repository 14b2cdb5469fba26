import type { DamagedBlock, PeerObserver } from '../../../../src/peer/observer.js';

/** Writes down what it is told. */
export class NotingObserver implements PeerObserver {
  readonly fetches: { bytes: number; direction: 'in' | 'out' }[] = [];
  readonly failures: string[] = [];
  readonly integrityFailures: DamagedBlock[] = [];
  private readonly waiting: { reason: string; resolve: () => void }[] = [];

  onFetch(bytes: number, _ms: number, direction: 'in' | 'out'): void {
    this.fetches.push({ bytes, direction });
  }

  onFailure(reason: string): void {
    this.failures.push(reason);
    for (const waiting of this.waiting.filter((entry) => entry.reason === reason)) waiting.resolve();
  }

  onIntegrityFailure(damaged: DamagedBlock): void {
    this.integrityFailures.push(damaged);
  }

  /** Resolves at the next failure for this reason. */
  failed(reason: string): Promise<void> {
    return new Promise((resolve) => this.waiting.push({ reason, resolve }));
  }
}
