import { Deferred } from '../../async/deferred.js';
import type { BlockDigest, BlockKey, SealedBlock } from '../../core/block.js';
import { Corrupt, fromWire, type ShoalError, toWire } from '../../errors.js';
import type { PeerObserver } from '../observer.js';
import type { ServerMessage } from '../wire/messages.js';
import type { Exchange, Line } from './exchange.js';

/** Takes the blocks that a fetch brings. After `place` gave memory for a block, either `done` or `failed` follows, once; where the fetch was given up, perhaps after its end. */
export interface FetchSink {
  /** Gives memory of `byteLength` bytes for a block that begins to arrive, or null if it is not wanted any more. */
  place(block: SealedBlock, byteLength: number): Uint8Array | null;
  /** The block is there and agrees with its digest. The next one may arrive before the promise is fulfilled; the fetch waits for all. */
  done(block: SealedBlock): void | Promise<void>;
  /** The block is not there. Nothing writes to its memory any more. */
  failed(block: SealedBlock, error: ShoalError): void;
}

/** What a fetch brought. */
export interface Fetched {
  readonly blocks: number;
  readonly bytes: number;
  /** The first key that the peer does not have; null if it had all. */
  readonly missing: BlockKey | null;
}

/** Asks for blocks, in order. */
export class FetchExchange implements Exchange<Fetched> {
  private readonly outcome = new Deferred<Fetched>();
  private line: Line | null = null;
  /** Blocks that have begun to arrive. */
  private begun = 0;
  private receiving: SealedBlock | null = null;
  private blocks = 0;
  private readonly keeping: Promise<void>[] = [];
  private reason: ShoalError | null = null;

  constructor(
    private readonly keys: readonly BlockKey[],
    private readonly sink: FetchSink,
    private readonly blockBytes: number,
    private readonly observer: PeerObserver,
  ) {}

  get result(): Promise<Fetched> {
    return this.outcome.promise;
  }

  start(line: Line): void {
    this.line = line;
    line.send({ type: 'fetch', keys: [...this.keys] });
  }

  begin(message: ServerMessage): Uint8Array | null {
    if (message.type !== 'block') return null;
    const { block } = message;
    const asked = this.keys[this.begun++];
    if (block.key !== asked) throw new Corrupt(`a peer sent block ${block.key} where ${asked} was due`);
    if (this.reason) return null;
    return this.place(block);
  }

  wants(): boolean {
    if (this.reason === null) return true;
    this.letGo(this.reason);
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
    this.letGo(reason);
    this.settle(null);
  }

  private letGo(reason: ShoalError): void {
    const block = this.receiving;
    this.receiving = null;
    if (block) this.sink.failed(block, reason);
  }

  private place(block: SealedBlock): Uint8Array | null {
    let place: Uint8Array | null = null;
    try {
      place = this.sink.place(block, this.blockBytes);
    } catch (error) {
      this.giveUp(fromWire(toWire(error)));
    }
    if (place === null) return null;
    this.receiving = block;
    // The sink may have given up in the call.
    return this.wants() ? place : null;
  }

  private arrived(digest: BlockDigest | null): void {
    const block = this.receiving;
    if (!block) return;
    if (digest !== block.digest) {
      this.observer.onIntegrityFailure('fetch');
      throw new Corrupt(`block ${block.key} came with digest ${digest} and should have ${block.digest}`);
    }
    this.receiving = null;
    this.blocks++;
    this.keeping.push(this.keep(block));
  }

  private async keep(block: SealedBlock): Promise<void> {
    try {
      await this.sink.done(block);
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
