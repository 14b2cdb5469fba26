import { setImmediate as nextTurn } from 'node:timers/promises';
import { Deferred } from '../../async/deferred.js';
import type { BlockDigest, BlockKey, SealedBlock } from '../../core/block.js';
import type { SharedMemoryReader } from '../../core/shared-memory-reader.js';
import { Digester } from '../../digest.js';
import { Corrupt, fromWire, type ShoalError, toWire } from '../../errors.js';
import { COPY_TURN_BYTES } from '../../limits.js';
import type { SharedBlock } from '../wire/block-headers.js';
import type { ServerMessage } from '../wire/messages.js';
import type { Fetched, FetchReservation, FetchSink } from './fetch-exchange.js';
import type { Line, LinkExchange } from './link.js';

/** Reading blocks out of the shared memory of a peer on this host, while the peer keeps them pinned. */

/** Bytes copied from a peer's memory at a time, so that they are still in the CPU cache when their digest is computed. */
const PEER_COPY_BYTES = 256 * 1024;

/** The outcome of a shared read. */
export interface SharedFetched extends Fetched {
  /** How many keys at the end of the request the peer does not share: fetch them through the socket. */
  readonly unshared: number;
}

/**
 * Asks the peer to pin blocks, in order, in memory that this process can read, and copies them. The digest is taken over the copy: a copy with
 * the right digest is right, whatever becomes of the peer's memory meanwhile.
 */
export class PinExchange implements LinkExchange<SharedFetched> {
  private readonly outcome = new Deferred<SharedFetched>();
  private readonly digester = new Digester();
  private line: Line | null = null;
  /** Blocks that the peer has pinned so far. */
  private begun = 0;
  private blocks = 0;
  private readonly keeping: Promise<void>[] = [];
  private copying = false;
  private reason: ShoalError | null = null;
  private settled = false;

  constructor(
    private readonly keys: readonly BlockKey[],
    private readonly sink: FetchSink,
    private readonly memory: SharedMemoryReader,
    private readonly blockBytes: number,
    /** Called with a block whose bytes do not match its digest. */
    private readonly onDamaged: (block: BlockKey) => void,
    private readonly trace: string | null = null,
  ) {}

  get result(): Promise<SharedFetched> {
    return this.outcome.promise;
  }

  start(line: Line): void {
    this.line = line;
    line.send({ type: 'pin', keys: [...this.keys], ...(this.trace === null ? {} : { trace: this.trace }) });
  }

  begin(): null {
    return null;
  }

  wants(): boolean {
    return false;
  }

  end(message: ServerMessage): void {
    if (this.copying) throw new Corrupt(`a peer sent '${message.type}' while its pinned blocks were being read`);
    switch (message.type) {
      case 'pinned':
        if (!this.settled) void this.copyAll(message.blocks);
        return;
      case 'missing':
        if (message.key !== this.keys[this.begun])
          throw new Corrupt(`a peer sent 'missing' for block ${message.key} out of turn`);
        this.settle(message.key, 0);
        return;
      case 'unshared':
        this.settle(null, this.keys.length - this.begun);
        return;
      case 'done':
        if (!this.settled && this.begun < this.keys.length)
          throw new Corrupt("a peer ended 'pin' before its last block");
        this.settle(null, 0);
        return;
      case 'error':
        this.reason ??= fromWire(message);
        this.settle(null, 0);
        return;
      default:
        throw new Corrupt(`a peer answered 'pin' with '${message.type}'`);
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

  /** Copies each block in one turn: between turns, no memory of the peer or of the sink is read or written. */
  private async copyAll(pinned: readonly SharedBlock[]): Promise<void> {
    this.copying = true;
    let turnBytes = 0;
    for (const { block, place } of pinned) {
      if (turnBytes >= COPY_TURN_BYTES) {
        turnBytes = 0;
        await nextTurn();
        if (this.over) return;
      }
      const asked = this.keys[this.begun];
      if (block.key !== asked) {
        return this.line!.close(new Corrupt(`a peer pinned block ${block.key} where ${asked} was due`));
      }
      const from = this.memory.bytesAt(place, this.blockBytes);
      if (from === null) return this.unreadable();
      this.begun++;
      this.copyOne(block, from);
      turnBytes += this.blockBytes;
      if (this.over) return;
    }
    // The peer pins the next blocks when these are unpinned: not before the sink has stored these.
    await Promise.all(this.keeping);
    if (this.over) return;
    this.copying = false;
    this.line!.send({ type: 'unpin' });
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
    this.onDamaged(block.key);
    const wrong = new Corrupt(`block ${block.key} has digest ${digest} after it was copied; ${block.digest} was due`);
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

  /** The rest comes through the socket. */
  private unreadable(): void {
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
