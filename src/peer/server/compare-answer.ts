import { fromWire, toWire } from '../../errors.js';
import { failureOf } from '../wire/message-format.js';
import type { Answer, Reply } from './session.js';

/** Answers a peer that compares the blocks which both workers should have. */

/** A summary of the blocks that two homes share, on the ring with this epoch. */
export interface PeerSummary {
  readonly epoch: string;
  readonly digests: Uint8Array;
}

/** Compares a peer's summary with this worker's. Gives the buckets that differ, ascending; null if the rings differ, or there is no time. */
export type Comparer = (peer: string, summary: PeerSummary) => Promise<number[] | null>;

export class CompareAnswer implements Answer {
  private reply: Reply | null = null;

  constructor(
    private readonly peer: string,
    private readonly summary: PeerSummary,
    private readonly comparer: Comparer,
  ) {}

  start(reply: Reply): void {
    this.reply = reply;
    void this.compare();
  }

  awaits(): boolean {
    return false;
  }

  cancel(): void {
    this.finish({ type: 'done' });
  }

  closed(): void {
    this.reply = null;
  }

  private async compare(): Promise<void> {
    try {
      this.finish({ type: 'compared', differing: await this.comparer(this.peer, this.summary) });
    } catch (error) {
      this.finish({ type: 'error', ...failureOf(fromWire(toWire(error))) });
    }
  }

  private finish(message: Parameters<Reply['finish']>[0]): void {
    this.reply?.finish(message);
    this.reply = null;
  }
}
