import { setImmediate as breath } from 'node:timers/promises';
import { Deferred } from '../../async/deferred.js';
import type { BlockDigest, BlockKey, SealedBlock } from '../../core/block.js';
import { Corrupt, fromWire, type ShoalError, toWire } from '../../errors.js';
import { COPY_TURN_BYTES, PEER_COPY_BYTES } from '../../limits.js';
import type { PeerObserver } from '../observer.js';
import { Digester } from '../wire/digest.js';
import type { ServerMessage } from '../wire/messages.js';
import type { PlacedBlock } from '../wire/placed-block.js';
import type { Exchange, Line } from './exchange.js';
import type { Fetched, FetchReservation, FetchSink } from './fetch-exchange.js';
import type { PeerMemory } from './peer-memory.js';

/** What was copied out of a peer's memory. */
export interface Borrowed extends Fetched {
  /** How many keys, from the last, are to be asked for in another way. */
  readonly unshared: number;
}

/**
 * Asks for blocks, in order, that lie in memory of the peer which can be read from here, and copies them. The digest is taken over the copy, so
 * that whatever becomes of the peer's memory meanwhile, what is kept is right.
 */
export class BorrowExchange implements Exchange<Borrowed> {
  private readonly outcome = new Deferred<Borrowed>();
  private readonly digester = new Digester();
  private line: Line | null = null;
  /** Blocks that the peer has lent. */
  private begun = 0;
  private blocks = 0;
  private readonly keeping: Promise<void>[] = [];
  private copying = false;
  private reason: ShoalError | null = null;
  private settled = false;

  constructor(
    private readonly keys: readonly BlockKey[],
    private readonly sink: FetchSink,
    private readonly memory: PeerMemory,
    private readonly blockBytes: number,
    private readonly observer: PeerObserver,
  ) {}

  get result(): Promise<Borrowed> {
    return this.outcome.promise;
  }

  start(line: Line): void {
    this.line = line;
    line.send({ type: 'borrow', keys: [...this.keys] });
  }

  begin(): null {
    return null;
  }

  wants(): boolean {
    return false;
  }

  end(message: ServerMessage): void {
    if (this.copying) throw new Corrupt(`a peer sent '${message.type}' while blocks of its were being read`);
    switch (message.type) {
      case 'lent':
        if (!this.settled) void this.copyAll(message.blocks);
        return;
      case 'missing':
        if (message.key !== this.keys[this.begun]) throw new Corrupt(`a peer misses block ${message.key} out of turn`);
        this.settle(message.key, 0);
        return;
      case 'unshared':
        this.settle(null, this.keys.length - this.begun);
        return;
      case 'done':
        if (!this.settled && this.begun < this.keys.length)
          throw new Corrupt('a peer ended a loan before its last block');
        this.settle(null, 0);
        return;
      case 'error':
        this.reason ??= fromWire(message);
        this.settle(null, 0);
        return;
      default:
        throw new Corrupt(`a peer answered a request to borrow with '${message.type}'`);
    }
  }

  giveUp(reason: ShoalError): void {
    if (this.settled) return;
    this.reason = reason;
    this.line?.send({ type: 'cancel' });
    this.copying = false;
    this.settle(null, 0);
  }

  fail(reason: ShoalError): void {
    this.reason ??= reason;
    this.settle(null, 0);
  }

  private get over(): boolean {
    return this.settled || this.reason !== null;
  }

  /** A block is copied in one turn: between turns, nothing of the peer's memory or the sink's is read or written. */
  private async copyAll(lent: readonly PlacedBlock[]): Promise<void> {
    this.copying = true;
    let turnBytes = 0;
    for (const { block, place } of lent) {
      if (turnBytes >= COPY_TURN_BYTES) {
        turnBytes = 0;
        await breath();
        if (this.over) return;
      }
      const asked = this.keys[this.begun];
      if (block.key !== asked) {
        return this.line!.close(new Corrupt(`a peer lent block ${block.key} where ${asked} was due`));
      }
      const from = this.memory.view(place, this.blockBytes);
      if (from === null) return this.leave();
      this.begun++;
      this.copyOne(block, from);
      turnBytes += this.blockBytes;
      if (this.over) return;
    }
    // The peer lends more when these are returned: not before those are where they belong.
    await Promise.all(this.keeping);
    if (this.over) return;
    this.copying = false;
    this.line!.send({ type: 'return' });
  }

  private copyOne(block: SealedBlock, from: Uint8Array): void {
    let reserved: FetchReservation | null = null;
    try {
      reserved = this.sink.reserve(block, this.blockBytes);
    } catch (error) {
      this.giveUp(fromWire(toWire(error)));
    }
    if (reserved === null) return;
    // The sink may have given up in the call.
    if (this.reason) {
      reserved.abort();
      return;
    }
    const digest = this.copy(from, reserved.memory);
    if (digest === block.digest) {
      this.blocks++;
      this.keeping.push(this.keep(reserved));
      return;
    }
    this.observer.onIntegrityFailure('fetch');
    const wrong = new Corrupt(`block ${block.key} came with digest ${digest} and should have ${block.digest}`);
    reserved.abort();
    this.reason = wrong;
    this.line!.close(wrong);
  }

  private copy(from: Uint8Array, into: Uint8Array): BlockDigest {
    this.digester.reset();
    for (let at = 0; at < from.byteLength; at += PEER_COPY_BYTES) {
      const end = Math.min(at + PEER_COPY_BYTES, from.byteLength);
      into.set(from.subarray(at, end), at);
      this.digester.update(into.subarray(at, end));
    }
    return this.digester.digest();
  }

  private async keep(reserved: FetchReservation): Promise<void> {
    try {
      await reserved.commit();
    } catch (error) {
      this.giveUp(fromWire(toWire(error)));
    }
  }

  /** The peer's memory cannot be read after all. */
  private leave(): void {
    this.line!.send({ type: 'cancel' });
    this.copying = false;
    this.settle(null, this.keys.length - this.begun);
  }

  private settle(missing: BlockKey | null, unshared: number): void {
    if (this.settled) return;
    this.settled = true;
    void Promise.all(this.keeping).then(() => {
      const { blocks, reason, blockBytes } = this;
      if (reason) this.outcome.reject(reason);
      else this.outcome.resolve({ blocks, bytes: blocks * blockBytes, missing, unshared });
    });
  }
}
