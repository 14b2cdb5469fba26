import type { Clock } from '../../clock.js';
import type { BlockKey, PinnedBlock } from '../../core/block.js';
import { InternalError } from '../../errors.js';
import type { PeerObserver } from '../observer.js';
import { failureOf } from '../wire/message-format.js';
import type { ServerMessage } from '../wire/messages.js';
import type { BlockHost } from './block-host.js';
import type { Answer, Reply } from './session.js';

/** Sends the blocks that a peer asked for, in order, up to the first that is not here. */
export class FetchAnswer implements Answer {
  private over = false;

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

  awaits(): boolean {
    return false;
  }

  cancel(): void {
    this.over = true;
  }

  closed(): void {
    this.over = true;
  }

  private async serve(reply: Reply): Promise<ServerMessage> {
    const startedMs = this.clock.now();
    let bytes = 0;
    let last: ServerMessage = { type: 'done' };
    for (const key of this.keys) {
      // The permit comes first, so that no more is pinned than the socket is given.
      if (!(await reply.payloads.acquire())) break;
      const pinned = this.over ? null : await this.pinned(key, reply);
      if (this.over || pinned === null) {
        pinned?.unpin();
        reply.payloads.release();
        if (!this.over) last = { type: 'missing', key };
        break;
      }
      const released = () => {
        pinned.unpin();
        reply.payloads.release();
      };
      reply.send({ type: 'block', block: pinned.block }, { bytes: pinned.bytes, released });
      bytes += this.blockBytes;
    }
    if (bytes > 0) this.observer.onFetch(bytes, this.clock.now() - startedMs, 'out');
    return last;
  }

  private async pinned(key: BlockKey, reply: Reply): Promise<PinnedBlock | null> {
    try {
      const pinned = await this.host.pin(key);
      if (pinned === null || pinned.bytes.byteLength === this.blockBytes) return pinned;
      pinned.unpin();
      throw new InternalError(`block ${key} has ${pinned.bytes.byteLength} bytes and not ${this.blockBytes}`);
    } catch (error) {
      reply.payloads.release();
      throw error;
    }
  }
}
