import type { BlockDigest, BlockKey, SealedBlock } from '../../core/block.js';
import type { Reservation } from '../../core/reservation.js';
import { Corrupt, InternalError } from '../../errors.js';
import { failureOf } from '../wire/message-format.js';
import type { Admission, BlockHost } from './block-host.js';
import type { Answer, Reply } from './session.js';

type Memory = Reservation<Uint8Array, Promise<void>>;

/** Takes the blocks that a peer offers, if there is room for them. */
export class OfferAnswer implements Answer {
  private reply: Reply | null = null;
  /** Memory for blocks that have not come, by position in the offer, in the order in which they are due. */
  private readonly due = new Map<number, Memory>();
  private filling: { readonly index: number; readonly reserved: Memory } | null = null;
  private committing = 0;

  constructor(
    private readonly blocks: readonly SealedBlock[],
    private readonly host: BlockHost,
    private readonly blockBytes: number,
    /** Called with a block whose bytes do not match its digest. */
    private readonly onDamaged: (block: BlockKey) => void,
    private readonly admission: Admission = 'evict',
  ) {}

  start(reply: Reply): void {
    this.reply = reply;
    const held: number[] = [];
    for (const [index, block] of this.blocks.entries()) {
      const reserved = this.host.admit(block, this.admission);
      if (reserved === 'present') held.push(index);
      if (typeof reserved !== 'string') this.due.set(index, this.checked(reserved));
    }
    reply.send({ type: 'wanted', wanted: [...this.due.keys()], held });
    this.finishIfDone();
  }

  put(index: number): Uint8Array {
    const [next] = this.due;
    if (next?.[0] !== index) throw new Corrupt(`a peer sent block ${index} of its offer where ${next?.[0]} was due`);
    const reserved = next[1];
    this.due.delete(index);
    this.filling = { index, reserved };
    return reserved.memory;
  }

  filled(digest: BlockDigest): void {
    const { index, reserved } = this.filling!;
    this.filling = null;
    const block = this.blocks[index]!;
    if (digest !== block.digest) {
      reserved.abort();
      this.onDamaged(block.key);
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
    this.reply?.finish({ type: 'done' });
    this.reply = null;
  }

  private abortDue(): void {
    for (const reserved of this.due.values()) reserved.abort();
    this.due.clear();
  }

  private checked(reserved: Memory): Memory {
    const { byteLength } = reserved.memory;
    if (byteLength === this.blockBytes) return reserved;
    reserved.abort();
    this.abortDue();
    throw new InternalError(`memory of ${byteLength} bytes for a block of ${this.blockBytes}`);
  }
}
