import { Deferred } from '../../async/deferred.js';
import type { BlockDigest, BlockKey, SealedBlock } from '../../core/block.js';
import type { Reservation } from '../../core/reservation.js';
import { Corrupt, fromWire, type ShoalError, toWire } from '../../errors.js';
import type { ServerMessage } from '../wire/messages.js';
import type { Line, LinkExchange } from './link.js';

/** Asks a peer for blocks, in order. */

/** Memory for a block that a fetch brings; a promise of `commit` settles when the block is kept, or rejects. */
export type FetchReservation = Reservation<Uint8Array, void | Promise<void>>;

/** Takes the blocks that a fetch brings. */
export interface FetchSink {
  /**
   * Reserves memory of `byteLength` bytes for a block that begins to arrive; null if the block is not wanted any more. The fetch commits when the
   * bytes agree with the block's digest, and waits for all commits at its end; else it aborts: where it was given up, perhaps after its end.
   */
  reserve(block: SealedBlock, byteLength: number): FetchReservation | null;
}

/** A block that arrives, and the memory for it. */
interface Receiving {
  readonly block: SealedBlock;
  readonly reserved: FetchReservation;
}

/** What a fetch brought. */
export interface Fetched {
  readonly blocks: number;
  readonly bytes: number;
  /** The first key that the peer does not have; null if it had all. */
  readonly missing: BlockKey | null;
}

/** Asks for blocks, in order. */
export class FetchExchange implements LinkExchange<Fetched> {
  private readonly outcome = new Deferred<Fetched>();
  private line: Line | null = null;
  /** Blocks that have begun to arrive. */
  private begun = 0;
  private receiving: Receiving | null = null;
  private blocks = 0;
  private readonly keeping: Promise<void>[] = [];
  private reason: ShoalError | null = null;

  constructor(
    private readonly keys: readonly BlockKey[],
    private readonly sink: FetchSink,
    private readonly blockBytes: number,
    /** Called with a block whose bytes do not match its digest. */
    private readonly onDamaged: (block: BlockKey) => void,
    private readonly trace: string | null = null,
  ) {}

  get result(): Promise<Fetched> {
    return this.outcome.promise;
  }

  start(line: Line): void {
    this.line = line;
    line.send({ type: 'fetch', keys: [...this.keys], ...(this.trace === null ? {} : { trace: this.trace }) });
  }

  begin(message: ServerMessage): Uint8Array | null {
    if (message.type !== 'block') return null;
    const { block } = message;
    const asked = this.keys[this.begun++];
    if (block.key !== asked) throw new Corrupt(`a peer sent block ${block.key} where ${asked} was due`);
    if (this.reason) return null;
    return this.reserve(block);
  }

  wants(): boolean {
    if (this.reason === null) return true;
    this.abortReceiving();
    return false;
  }

  end(message: ServerMessage, digest: BlockDigest | null): void {
    switch (message.type) {
      case 'block':
        this.arrived(digest);
        return;
      case 'missing':
        if (message.key !== this.keys[this.begun]) throw new Corrupt(`a peer misses block ${message.key} out of turn`);
        this.settle(message.key);
        return;
      case 'done':
        if (!this.reason && this.begun < this.keys.length)
          throw new Corrupt('a peer ended a fetch before its last block');
        this.settle(null);
        return;
      case 'error':
        this.reason ??= fromWire(message);
        this.settle(null);
        return;
      default:
        throw new Corrupt(`a peer answered a fetch with '${message.type}'`);
    }
  }

  giveUp(reason: ShoalError): void {
    if (this.reason) return;
    this.reason = reason;
    this.line?.send({ type: 'cancel' });
    this.settle(null);
  }

  fail(reason: ShoalError): void {
    this.reason ??= reason;
    this.abortReceiving();
    this.settle(null);
  }

  private abortReceiving(): void {
    const { receiving } = this;
    this.receiving = null;
    receiving?.reserved.abort();
  }

  private reserve(block: SealedBlock): Uint8Array | null {
    let reserved: FetchReservation | null = null;
    try {
      reserved = this.sink.reserve(block, this.blockBytes);
    } catch (error) {
      this.giveUp(fromWire(toWire(error)));
    }
    if (reserved === null) return null;
    this.receiving = { block, reserved };
    // The sink may have given up in the call.
    return this.wants() ? reserved.memory : null;
  }

  private arrived(digest: BlockDigest | null): void {
    if (!this.receiving) return;
    const { block, reserved } = this.receiving;
    if (digest !== block.digest) {
      this.onDamaged(block.key);
      throw new Corrupt(`block ${block.key} came with digest ${digest} and should have ${block.digest}`);
    }
    this.receiving = null;
    this.blocks++;
    this.keeping.push(this.keep(reserved));
  }

  private async keep(reserved: FetchReservation): Promise<void> {
    try {
      await reserved.commit();
    } catch (error) {
      this.giveUp(fromWire(toWire(error)));
    }
  }

  private settle(missing: BlockKey | null): void {
    void Promise.all(this.keeping).then(() => {
      if (this.reason) this.outcome.reject(this.reason);
      else this.outcome.resolve({ blocks: this.blocks, bytes: this.blocks * this.blockBytes, missing });
    });
  }
}
