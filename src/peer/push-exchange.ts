import type { BlockKey } from '../core/block.js';
import { Corrupt, fromWire, type ShoalError } from '../errors.js';
import type { LentBlock } from './block-host.js';
import type { Exchange, Line } from './exchange.js';
import type { ServerMessage } from './messages.js';
import { Outcome } from './outcome.js';

/** Offers blocks and sends those that the peer wants. Gives those that it has then. Releases every block, when nothing reads it any more. */
export class PushExchange implements Exchange<Set<BlockKey>> {
  private readonly outcome = new Outcome<Set<BlockKey>>();
  private readonly acknowledged = new Set<BlockKey>();
  /** Blocks that are not released, by position; a block that is being written is not among them. */
  private readonly held: Map<number, LentBlock>;
  private line: Line | null = null;
  private reason: ShoalError | null = null;

  constructor(private readonly blocks: readonly LentBlock[]) {
    this.held = new Map(blocks.entries());
  }

  get result(): Promise<Set<BlockKey>> {
    return this.outcome.promise;
  }

  start(line: Line): void {
    this.line = line;
    line.send({ type: 'offer', blocks: this.blocks.map(({ block }) => block) });
  }

  begin(): null {
    return null;
  }

  wants(): boolean {
    return false;
  }

  end(message: ServerMessage): void {
    switch (message.type) {
      case 'wanted':
        for (const index of message.held) this.acknowledged.add(this.keyAt(index));
        for (const index of message.wanted) this.keyAt(index);
        void this.sendAll(message.wanted);
        return;
      case 'stored':
        if (message.error === null) this.acknowledged.add(this.keyAt(message.index));
        return;
      case 'done':
        this.settle();
        return;
      case 'error':
        this.reason ??= fromWire(message);
        this.settle();
        return;
      default:
        throw new Corrupt(`a peer answered an offer with '${message.type}'`);
    }
  }

  giveUp(reason: ShoalError): void {
    if (this.reason) return;
    this.reason = reason;
    this.line?.send({ type: 'cancel' });
    this.settle();
  }

  fail(reason: ShoalError): void {
    this.reason ??= reason;
    this.settle();
  }

  private async sendAll(wanted: readonly number[]): Promise<void> {
    for (const index of wanted) {
      const line = this.line!;
      if (!(await line.payloads.take())) return;
      const lent = this.held.get(index);
      if (!lent) {
        // Given up.
        line.payloads.give();
        return;
      }
      this.held.delete(index);
      const released = () => {
        lent.release();
        line.payloads.give();
      };
      line.send({ type: 'put', index }, { bytes: lent.bytes, released });
    }
  }

  private keyAt(index: number): BlockKey {
    const lent = this.blocks[index];
    if (!lent) throw new Corrupt(`a peer answered for position ${index} of an offer of ${this.blocks.length} blocks`);
    return lent.block.key;
  }

  private settle(): void {
    for (const lent of this.held.values()) lent.release();
    this.held.clear();
    if (this.reason) this.outcome.reject(this.reason);
    else this.outcome.resolve(this.acknowledged);
  }
}
