import type { Clock, Timer } from '../../clock.js';
import type { BlockDigest, BlockKey, SealedBlock } from '../../core/block.js';
import type { Admission } from '../../core/durability.js';
import type { Maker } from '../../core/maker.js';
import type { NoReservation, Reservation } from '../../core/reservation.js';
import { Corrupt, DeadlineExceeded, InternalError } from '../../errors.js';
import { PEER_PROGRESS_TIMEOUT_MS } from '../../limits.js';
import { failureOf } from '../wire/message-format.js';
import type { BlockHost } from './block-host.js';
import type { OfferMemory } from './offer-memory.js';
import type { Answer, Reply } from './session.js';

type Memory = Reservation<Uint8Array, Promise<void>>;

export interface OfferOptions {
  readonly host: BlockHost;
  readonly blockBytes: number;
  readonly admission: Admission;
  readonly offers: OfferMemory;
  readonly peer: Maker;
  readonly clock: Clock;
  /** Called with a block whose bytes do not match its digest. */
  readonly onDamaged: (block: BlockKey) => void;
}

/** Takes the blocks that a peer offers, if there is room for them, and they come one soon after another. */
export class OfferAnswer implements Answer {
  private reply: Reply | null = null;
  /** Memory for blocks that have not come, by position in the offer, in the order in which they are due. */
  private readonly due = new Map<number, Memory>();
  private filling: { readonly index: number; readonly reserved: Memory } | null = null;
  private committing = 0;
  private waiting: Timer | null = null;

  constructor(
    private readonly blocks: readonly SealedBlock[],
    private readonly options: OfferOptions,
  ) {}

  start(reply: Reply): void {
    this.reply = reply;
    const held: number[] = [];
    for (const [index, block] of this.blocks.entries()) {
      const reserved = this.reserve(block);
      if (reserved === 'present') held.push(index);
      if (typeof reserved !== 'string') this.due.set(index, this.checked(reserved));
    }
    this.await();
    reply.send({ type: 'wanted', wanted: [...this.due.keys()], held });
    this.finishIfDone();
  }

  put(index: number): Uint8Array {
    const [next] = this.due;
    if (next?.[0] !== index) throw new Corrupt(`a peer sent block ${index} of its offer where ${next?.[0]} was due`);
    const reserved = next[1];
    this.due.delete(index);
    this.options.offers.giveBack(this.options.peer.id);
    this.filling = { index, reserved };
    return reserved.memory;
  }

  filled(digest: BlockDigest): void {
    const { index, reserved } = this.filling!;
    this.filling = null;
    this.await();
    const block = this.blocks[index]!;
    if (digest !== block.digest) {
      reserved.abort();
      this.options.onDamaged(block.key);
      throw new Corrupt(`block ${block.key} was pushed with digest ${digest} and should have ${block.digest}`);
    }
    this.committing++;
    void this.commit(index, reserved);
  }

  awaits(): boolean {
    return this.due.size > 0;
  }

  cancel(): void {
    this.abortDue();
    this.finishIfDone();
  }

  closed(): void {
    this.waiting?.cancel();
    this.reply = null;
    this.filling?.reserved.abort();
    this.filling = null;
    this.abortDue();
  }

  private async commit(index: number, reserved: Memory): Promise<void> {
    const error = await reserved.commit().then(() => null, failureOf);
    this.committing--;
    this.reply?.send({ type: 'stored', index, error });
    this.finishIfDone();
  }

  private finishIfDone(): void {
    if (this.due.size > 0 || this.filling || this.committing > 0) return;
    this.waiting?.cancel();
    this.reply?.finish({ type: 'done' });
    this.reply = null;
  }

  private abortDue(): void {
    for (const reserved of this.due.values()) this.giveBack(reserved);
    this.due.clear();
  }

  private reserve(block: SealedBlock): Memory | NoReservation {
    const { host, admission, offers, peer } = this.options;
    if (!offers.take(peer.id)) return 'full';
    let reserved: Memory | NoReservation = 'full';
    try {
      reserved = host.admit(block, admission, peer);
    } finally {
      if (typeof reserved === 'string') offers.giveBack(peer.id);
    }
    return reserved;
  }

  private giveBack(reserved: Memory): void {
    this.options.offers.giveBack(this.options.peer.id);
    reserved.abort();
  }

  /** Gives the next block that is due its time: what else the peer says meanwhile does not count. */
  private await(): void {
    this.waiting?.cancel();
    if (this.due.size === 0) return;
    const late = `a peer sent no block of its offer for ${PEER_PROGRESS_TIMEOUT_MS} ms`;
    this.waiting = this.options.clock.after(PEER_PROGRESS_TIMEOUT_MS, () => {
      if (this.filling === null) this.reply?.close(new DeadlineExceeded(late));
    });
  }

  private checked(reserved: Memory): Memory {
    const { byteLength } = reserved.memory;
    if (byteLength === this.options.blockBytes) return reserved;
    this.giveBack(reserved);
    this.abortDue();
    throw new InternalError(`memory of ${byteLength} bytes for a block of ${this.options.blockBytes}`);
  }
}
