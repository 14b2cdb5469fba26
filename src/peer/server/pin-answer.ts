import { Deferred } from '../../async/deferred.js';
import type { Clock } from '../../clock.js';
import type { BlockKey, PinnedBlock } from '../../core/block.js';
import { Corrupt, DeadlineExceeded, InternalError } from '../../errors.js';
import { PEER_BLOCKS_PINNED } from '../../limits.js';
import type { PeerObserver } from '../observer.js';
import { failureOf } from '../wire/message-format.js';
import type { ServerMessage } from '../wire/messages.js';
import type { BlockHost } from './block-host.js';
import type { Answer, Reply } from './session.js';

/** Time after which the connection of a peer that has not unpinned its blocks is closed. @internal exported for tests. */
export const PEER_PIN_MS = 30_000;

/**
 * Pins blocks while a peer on this host reads them out of this worker's shared memory. Pins the blocks that the peer asked for, in order, up to
 * the first that is not here or not in shared memory, until the peer unpins them, cancels the request, or its connection is closed.
 */
export class PinAnswer implements Answer {
  private over = false;
  private pinned: PinnedBlock[] = [];
  /** Resolves when the peer does not read the pinned blocks any more; null while it reads none. */
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

  unpinned(): void {
    if (!this.reading) throw new Corrupt('a peer unpinned blocks that were not pinned for it');
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
        blocks += this.pinned.length;
        await this.untilRead(reply);
      } finally {
        this.unpinAll(reply);
      }
    }
    if (blocks > 0) this.observer.onFetch(blocks * this.blockBytes, this.clock.now() - startedMs, 'out');
    return last ?? { type: 'done' };
  }

  /** Pins as many blocks as there are permits now, at least one. Gives the last message if no block follows. */
  private async collect(keys: readonly BlockKey[], reply: Reply): Promise<ServerMessage | null> {
    for (const key of keys.slice(0, PEER_BLOCKS_PINNED)) {
      const allowed = this.pinned.length === 0 ? await reply.pins.acquire() : reply.pins.tryAcquire();
      if (!allowed || this.over) {
        if (allowed) reply.pins.release();
        return null;
      }
      const end = await this.take(key).catch((error) => {
        reply.pins.release();
        throw error;
      });
      if (end === null) continue;
      reply.pins.release();
      return end;
    }
    return null;
  }

  private async take(key: BlockKey): Promise<ServerMessage | null> {
    // Asked first: to pin a block that is not shared may read a disk or a device.
    if (!this.host.isShared(key)) return { type: 'unshared' };
    const block = await this.host.pin(key);
    if (block === null) return { type: 'missing', key };
    if (block.shared !== null && block.bytes.byteLength === this.blockBytes) {
      this.pinned.push(block);
      return null;
    }
    block.unpin();
    if (block.shared === null) return { type: 'unshared' };
    throw new InternalError(`block ${key} has ${block.bytes.byteLength} bytes and not ${this.blockBytes}`);
  }

  /** Tells the peer where the pinned blocks are, and waits until it does not read them any more. */
  private async untilRead(reply: Reply): Promise<void> {
    if (this.pinned.length === 0 || this.over) return;
    this.reading = new Deferred();
    reply.send({ type: 'pinned', blocks: this.pinned.map(({ block, shared }) => ({ block, place: shared! })) });
    const deadline = this.clock.after(PEER_PIN_MS, () =>
      reply.close(new DeadlineExceeded(`a peer did not unpin blocks within ${PEER_PIN_MS} ms`)),
    );
    await this.reading.promise;
    deadline.cancel();
  }

  private unpinAll(reply: Reply): void {
    this.reading = null;
    for (const block of this.pinned.splice(0)) {
      block.unpin();
      reply.pins.release();
    }
  }
}
