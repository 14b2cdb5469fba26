import { Deferred } from '../../async/deferred.js';
import type { BlockDigest } from '../../core/block.js';
import { Cancelled, Corrupt, fromWire, type ShoalError } from '../../errors.js';
import { giveExtent, takeExtent } from '../../objects/extent-pool.js';
import type { ObjectInfo } from '../../objects/object.js';
import type { ObjectBody, Piece, ReadOutcome } from '../../objects/object-node.js';
import type { ObjectExchange, ObjectLine } from './object-link.js';
import type { ObjectClientMessage, ObjectServerMessage } from './object-messages.js';
import { READ_WINDOW } from './object-reading.js';

/** Reads an object from a peer. At most `READ_WINDOW` pieces wait here to be taken. */
export class ReadExchange implements ObjectExchange, ObjectBody {
  private readonly outcome = new Deferred<ReadOutcome>();
  private readonly pieces: Buffer[] = [];
  private coming: Buffer | null = null;
  private line: ObjectLine | null = null;
  private end: 'done' | ShoalError | null = null;
  private wake: (() => void) | null = null;
  private open = true;

  constructor(private readonly request: Omit<Extract<ObjectClientMessage, { type: 'read' }>, 'type'>) {}

  get result(): Promise<ReadOutcome> {
    return this.outcome.promise;
  }

  start(line: ObjectLine): void {
    this.line = line;
    line.send({ type: 'read', ...this.request });
  }

  target(bytes: number): Buffer | null {
    if (!this.open) return null;
    if (this.pieces.length >= READ_WINDOW) throw new Corrupt('a peer sent more of an object than was asked for');
    this.coming = takeExtent(bytes);
    return this.coming;
  }

  received(message: ObjectServerMessage, digest: BlockDigest | null): boolean {
    switch (message.type) {
      case 'found':
        this.outcome.resolve({ type: 'found', info: message.info as ObjectInfo, body: this });
        return false;
      case 'piece':
        this.take(message.digest, digest);
        return false;
      case 'same':
        this.outcome.resolve({ type: 'same', info: message.info as ObjectInfo });
        return true;
      case 'absent':
        this.outcome.resolve({ type: 'absent' });
        return true;
      case 'done':
        this.finish('done');
        return true;
      case 'error':
        this.fail(fromWire(message));
        return true;
      default:
        throw new Corrupt(`a peer answered a read with '${message.type}'`);
    }
  }

  fail(reason: ShoalError): void {
    this.outcome.reject(reason);
    this.finish(reason);
  }

  async next(): Promise<Piece | null> {
    while (this.pieces.length === 0 && this.end === null) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      this.wake = null;
    }
    const bytes = this.pieces.shift();
    if (bytes === undefined) {
      if (this.end !== 'done') throw this.end ?? new Cancelled('the reading of an object was given up');
      return null;
    }
    if (this.end === null) this.line?.send({ type: 'more', pieces: 1 });
    return { bytes, release: () => giveExtent(bytes) };
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    for (const piece of this.pieces.splice(0)) giveExtent(piece);
    if (this.end === null) this.line?.send({ type: 'stop' });
  }

  private take(expected: BlockDigest, digest: BlockDigest | null): void {
    const { coming } = this;
    this.coming = null;
    if (coming === null) return;
    if (!this.open) {
      giveExtent(coming);
      return;
    }
    if (digest !== expected) throw new Corrupt('a piece of an object does not match its digest');
    this.pieces.push(coming);
    this.wake?.();
  }

  private finish(end: 'done' | ShoalError): void {
    this.end ??= end;
    this.wake?.();
  }
}
