import { Deferred } from '../../async/deferred.js';
import type { Clock } from '../../clock.js';
import type { BlockKey, PinnedBlock, SealedBlock } from '../../core/block.js';
import { Corrupt, fromWire, InternalError, type ShoalError, toWire } from '../../errors.js';
import type { BlockHost } from '../server/block-host.js';
import type { ServerMessage } from '../wire/messages.js';
import type { Line, LinkExchange } from './link.js';

/** Time limit for reading a block from the cache before it is pushed; a slower block is not pushed, because it delays the blocks after it. @internal exported for tests. */
export const PEER_PUSH_PIN_MS = 5_000;

/**
 * Offers blocks and sends those that the peer wants. Gives those that it has then. A block is pinned when its turn has come to be sent,
 * and unpinned when nothing reads it any more: to offer what the peer has costs no more than the offer.
 */
export class PushExchange implements LinkExchange<Set<BlockKey>> {
  private readonly outcome = new Deferred<Set<BlockKey>>();
  private readonly acknowledged = new Set<BlockKey>();
  private line: Line | null = null;
  private reason: ShoalError | null = null;
  private answered = false;
  private over = false;

  constructor(
    private readonly blocks: readonly SealedBlock[],
    private readonly pin: BlockHost['pin'],
    private readonly blockBytes: number,
    private readonly clock: Clock,
    /** `repair`: the peer evicts no block for these. */
    private readonly type: 'offer' | 'repair' = 'offer',
  ) {}

  get result(): Promise<Set<BlockKey>> {
    return this.outcome.promise;
  }

  start(line: Line): void {
    this.line = line;
    line.send({ type: this.type, blocks: [...this.blocks] });
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
        this.heard(message);
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
    if (this.over) return;
    this.reason = reason;
    this.line?.send({ type: 'cancel' });
    this.settle();
  }

  fail(reason: ShoalError): void {
    this.reason ??= reason;
    this.settle();
  }

  private heard({ wanted, held }: Extract<ServerMessage, { type: 'wanted' }>): void {
    if (this.answered) throw new Corrupt('a peer answered an offer twice');
    this.answered = true;
    for (const index of held) this.acknowledged.add(this.keyAt(index));
    for (const [nth, index] of wanted.entries()) {
      this.keyAt(index);
      if (nth > 0 && index <= wanted[nth - 1]!) throw new Corrupt('a peer wants blocks of an offer out of turn');
    }
  }

  private async sendAll(wanted: readonly number[]): Promise<void> {
    try {
      for (const index of wanted) {
        const pinned = await this.pinnedInTime(this.keyAt(index));
        if (pinned !== null && (await this.send(index, pinned))) continue;
        // It is not here any more, or not soon; and the peer takes the others in their order alone.
        if (!this.over) this.line!.send({ type: 'cancel' });
        return;
      }
    } catch (error) {
      this.giveUp(fromWire(toWire(error)));
    }
  }

  /** Null if the pin takes so long that the peer, which receives nothing meanwhile, would take this worker for dead. */
  private async pinnedInTime(key: BlockKey): Promise<PinnedBlock | null> {
    let late = false;
    const pinning = this.pin(key);
    pinning.then((pinned) => late && pinned?.unpin()).catch(() => {});
    const tooLate = new Deferred<null>();
    const patience = this.clock.after(PEER_PUSH_PIN_MS, () => {
      late = true;
      tooLate.resolve(null);
    });
    try {
      return await Promise.race([pinning, tooLate.promise]);
    } finally {
      patience.cancel();
    }
  }

  /** False if it was given up meanwhile. */
  private async send(index: number, pinned: PinnedBlock): Promise<boolean> {
    const { payloads, send } = this.line!;
    const permitted = this.checked(pinned) && (await payloads.acquire());
    if (this.over || !permitted) {
      pinned.unpin();
      if (permitted) payloads.release();
      return false;
    }
    const released = () => {
      pinned.unpin();
      payloads.release();
    };
    send({ type: 'put', index }, { bytes: pinned.bytes, released });
    return true;
  }

  private checked(pinned: PinnedBlock): boolean {
    const { byteLength } = pinned.bytes;
    if (byteLength === this.blockBytes) return true;
    this.giveUp(new InternalError(`block ${pinned.block.key} has ${byteLength} bytes and not ${this.blockBytes}`));
    return false;
  }

  private keyAt(index: number): BlockKey {
    const block = this.blocks[index];
    if (!block) throw new Corrupt(`a peer answered for position ${index} of an offer of ${this.blocks.length} blocks`);
    return block.key;
  }

  private settle(): void {
    this.over = true;
    if (this.reason) this.outcome.reject(this.reason);
    else this.outcome.resolve(this.acknowledged);
  }
}
