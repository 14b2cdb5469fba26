import { Deferred } from '../../async/deferred.js';
import { BUCKET_DIGEST_BYTES } from '../../core/anti-entropy.js';
import { Corrupt, fromWire, type ShoalError } from '../../errors.js';
import type { PeerSummary } from '../server/compare-answer.js';
import type { ServerMessage } from '../wire/messages.js';
import type { Line, LinkExchange } from './link.js';

/** Sends a summary of the blocks that two homes share, and receives the buckets that differ. */
export class CompareExchange implements LinkExchange<number[] | null> {
  private readonly outcome = new Deferred<number[] | null>();
  private line: Line | null = null;

  constructor(private readonly summary: PeerSummary) {}

  get result(): Promise<number[] | null> {
    return this.outcome.promise;
  }

  start(line: Line): void {
    this.line = line;
    line.send({ type: 'compare', ...this.summary });
  }

  begin(): null {
    return null;
  }

  wants(): boolean {
    return false;
  }

  end(message: ServerMessage): void {
    switch (message.type) {
      case 'compared':
        this.outcome.resolve(this.checked(message.differing));
        return;
      case 'error':
        this.outcome.reject(fromWire(message));
        return;
      case 'done':
        // After a cancellation, whose caller has its answer.
        this.outcome.resolve(null);
        return;
      default:
        throw new Corrupt(`a peer answered 'compare' with '${message.type}'`);
    }
  }

  giveUp(reason: ShoalError): void {
    this.line?.send({ type: 'cancel' });
    this.outcome.reject(reason);
  }

  fail(reason: ShoalError): void {
    this.outcome.reject(reason);
  }

  private checked(differing: number[] | null): number[] | null {
    const buckets = this.summary.digests.byteLength / BUCKET_DIGEST_BYTES;
    for (const [nth, bucket] of differing?.entries() ?? []) {
      if (bucket >= buckets) throw new Corrupt(`a peer named bucket ${bucket} of a summary of ${buckets}`);
      if (nth > 0 && bucket <= differing![nth - 1]!) throw new Corrupt('a peer named buckets of a summary out of turn');
    }
    return differing;
  }
}
