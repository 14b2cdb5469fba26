import { Deferred } from '../../async/deferred.js';
import type { Clock } from '../../clock.js';
import type { BlockKey } from '../../core/block.js';
import { Corrupt, DeadlineExceeded, InternalError } from '../../errors.js';
import { PEER_BLOCKS_LENT, PEER_LOAN_MS } from '../../limits.js';
import type { PeerObserver } from '../observer.js';
import type { ServerMessage } from '../wire/messages.js';
import type { PlacedBlock } from '../wire/placed-block.js';
import { failureOf } from '../wire/wire-failure.js';
import type { Answer, Reply } from './answer.js';
import type { BlockHost, PinnedBlock } from './block-host.js';

/**
 * Lends a peer on this host the blocks that it asked for where they lie, in order, up to the first that is not here or not in shared memory. They
 * stay as they are until the peer returns them, gives the request up, or is gone.
 */
export class BorrowAnswer implements Answer {
  private over = false;
  /** What the peer reads at this moment, and what opens when it does no more. */
  private lent: PinnedBlock[] = [];
  private reading: Deferred<void> | null = null;

  constructor(
    private readonly keys: readonly BlockKey[],
    private readonly host: BlockHost,
    private readonly blockBytes: number,
    private readonly clock: Clock,
    private readonly observer: PeerObserver,
  ) {}

  start(reply: Reply): void {
    this.serve(reply).then(
      (last) => reply.finish(last),
      (error) => reply.finish({ type: 'error', ...failureOf(error) }),
    );
  }

  put(): never {
    throw new Corrupt('a peer sent a block for a request to borrow');
  }

  filled(): void {}

  returned(): void {
    if (!this.reading) throw new Corrupt('a peer gave back blocks that were not lent to it');
    this.reading.resolve();
  }

  awaits(): boolean {
    return this.reading !== null;
  }

  cancel(): void {
    this.over = true;
    this.reading?.resolve();
  }

  closed(): void {
    this.cancel();
  }

  private async serve(reply: Reply): Promise<ServerMessage> {
    const startedMs = this.clock.now();
    let blocks = 0;
    let last: ServerMessage | null = null;
    while (last === null && blocks < this.keys.length && !this.over) {
      try {
        last = await this.collect(this.keys.slice(blocks), reply);
        blocks += this.lent.length;
        await this.lendOut(reply);
      } finally {
        this.takeBack(reply);
      }
    }
    if (blocks > 0) this.observer.onFetch(blocks * this.blockBytes, this.clock.now() - startedMs, 'out');
    return last ?? { type: 'done' };
  }

  /** Takes as many blocks from the host as may be lent now, one at the least. Gives the last message if it has come to the end. */
  private async collect(keys: readonly BlockKey[], reply: Reply): Promise<ServerMessage | null> {
    for (const key of keys.slice(0, PEER_BLOCKS_LENT)) {
      const allowed = this.lent.length === 0 ? await reply.loans.acquire() : reply.loans.tryAcquire();
      if (!allowed || this.over) {
        if (allowed) reply.loans.release();
        return null;
      }
      const end = await this.take(key).catch((error) => {
        reply.loans.release();
        throw error;
      });
      if (end === null) continue;
      reply.loans.release();
      return end;
    }
    return null;
  }

  private async take(key: BlockKey): Promise<ServerMessage | null> {
    // Asked first, as lending others may mean to read a disk or a device.
    if (!this.host.isShared(key)) return { type: 'unshared' };
    const lent = await this.host.pin(key);
    if (lent === null) return { type: 'missing', key };
    if (lent.shared !== null && lent.bytes.byteLength === this.blockBytes) {
      this.lent.push(lent);
      return null;
    }
    lent.unpin();
    if (lent.shared === null) return { type: 'unshared' };
    throw new InternalError(`block ${key} has ${lent.bytes.byteLength} bytes and not ${this.blockBytes}`);
  }

  /** Tells the peer where the blocks are, and waits until it does not read them any more. */
  private async lendOut(reply: Reply): Promise<void> {
    if (this.lent.length === 0 || this.over) return;
    this.reading = new Deferred();
    const blocks: PlacedBlock[] = this.lent.map(({ block, shared }) => ({ block, place: shared! }));
    reply.send({ type: 'lent', blocks });
    const deadline = this.clock.after(PEER_LOAN_MS, () =>
      reply.close(new DeadlineExceeded(`a peer kept blocks that were lent to it for more than ${PEER_LOAN_MS} ms`)),
    );
    await this.reading.promise;
    deadline.cancel();
  }

  private takeBack(reply: Reply): void {
    this.reading = null;
    for (const block of this.lent.splice(0)) {
      block.unpin();
      reply.loans.release();
    }
  }
}
