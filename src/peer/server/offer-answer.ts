import type { BlockDigest, SealedBlock } from '../../core/block.js';
import { Corrupt, InternalError } from '../../errors.js';
import type { PeerObserver } from '../observer.js';
import { failureOf } from '../wire/message-format.js';
import type { Answer, Reply } from './answer.js';
import type { Admission, BlockHost } from './block-host.js';

type Place = Extract<Admission, { kind: 'accepted' }>;

/** Takes the blocks that a peer offers, as far as there is room for them. */
export class OfferAnswer implements Answer {
  private reply: Reply | null = null;
  /** Memory for blocks that have not come, by position in the offer, in the order in which they are due. */
  private readonly due = new Map<number, Place>();
  private filling: { readonly index: number; readonly place: Place } | null = null;
  private committing = 0;

  constructor(
    private readonly blocks: readonly SealedBlock[],
    private readonly host: BlockHost,
    private readonly blockBytes: number,
    private readonly observer: PeerObserver,
  ) {}

  start(reply: Reply): void {
    this.reply = reply;
    const held: number[] = [];
    for (const [index, block] of this.blocks.entries()) {
      const admission = this.host.admit(block);
      if (admission.kind === 'held') held.push(index);
      if (admission.kind === 'accepted') this.due.set(index, this.checked(admission));
    }
    reply.send({ type: 'wanted', wanted: [...this.due.keys()], held });
    this.finishIfDone();
  }

  put(index: number): Uint8Array {
    const [next] = this.due;
    if (next?.[0] !== index) throw new Corrupt(`a peer sent block ${index} of its offer where ${next?.[0]} was due`);
    const place = next[1];
    this.due.delete(index);
    this.filling = { index, place };
    return place.into;
  }

  filled(digest: BlockDigest): void {
    const { index, place } = this.filling!;
    this.filling = null;
    const block = this.blocks[index]!;
    if (digest !== block.digest) {
      place.abort();
      this.observer.onIntegrityFailure('push');
      throw new Corrupt(`block ${block.key} was pushed with digest ${digest} and should have ${block.digest}`);
    }
    this.committing++;
    void this.commit(index, place);
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
    this.filling?.place.abort();
    this.filling = null;
    this.abortDue();
  }

  private async commit(index: number, place: Place): Promise<void> {
    const error = await place.commit().then(() => null, failureOf);
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
    for (const place of this.due.values()) place.abort();
    this.due.clear();
  }

  private checked(place: Place): Place {
    if (place.into.byteLength === this.blockBytes) return place;
    place.abort();
    this.abortDue();
    throw new InternalError(`memory of ${place.into.byteLength} bytes for a block of ${this.blockBytes}`);
  }
}
