import { IncomingMessage } from 'node:http';
import { TurnBudget } from '../async/turn-budget.js';
import { InvalidRequest } from '../errors.js';
import { dropBody } from './parser.js';

/** A request to an HTTP server, whose body may not come in so many small chunks that the server does nothing but count them. */

/** Chunks with fewer bytes than this on average cost more by their number than by their bytes. */
const WASTEFUL_CHUNK_BYTES = 256;
/** A body of so few chunks may have small ones, whatever else goes on. */
const FEW_CHUNKS = 64;
/** A body of more chunks than this may not have small ones. */
const MANY_CHUNKS = 1_024;
/** Chunks in one turn of the event loop. */
const TURN_CHUNKS = 2_048;

/** The chunks of this process, which has one event loop. */
const CHUNKS = new TurnBudget(TURN_CHUNKS);

/**
 * Counts each chunk of its body, whoever reads or discards it. When the chunks of all requests are too many for one turn of the event loop, a connection
 * is read on in the next one. A body of many chunks that are small is refused: it ends with an `error`, an `InvalidRequest`, and no more of it is parsed.
 */
export class MeteredRequest extends IncomingMessage {
  private chunks = 0;
  private bytes = 0;
  /** Whether the connection is read on in a later turn, and whether the reader has asked for more meanwhile. */
  private held = false;
  private wanted = false;
  private isRefused = false;
  private told = false;

  /** Whether the body was refused: its rest never comes. */
  get refused(): boolean {
    return this.isRefused;
  }

  override push(chunk: Buffer | null): boolean {
    if (this.isRefused) return false;
    if (chunk === null) return super.push(null);
    this.chunks++;
    this.bytes += chunk.byteLength;
    CHUNKS.spend();
    if (this.isWasteful()) {
      this.refuse();
      return false;
    }
    if (CHUNKS.over) this.hold();
    // Node stops reading from the socket until `_read` is called.
    return super.push(chunk) && !this.held;
  }

  override _read(bytes: number): void {
    if (this.isRefused) this.tell();
    else if (this.held) this.wanted = true;
    else super._read(bytes);
  }

  /** Node calls this for the rest of a body that nobody has read. Its own version would not count the chunks. */
  _dump(): void {
    if (this.isRefused) this.socket.end();
    this.on('error', () => {}).resume();
  }

  private isWasteful(): boolean {
    if (this.chunks <= FEW_CHUNKS || this.bytes >= this.chunks * WASTEFUL_CHUNK_BYTES) return false;
    return this.chunks > MANY_CHUNKS || CHUNKS.over;
  }

  private hold(): void {
    if (this.held) return;
    this.held = true;
    CHUNKS.wait(() => {
      this.held = false;
      if (!this.wanted) return;
      this.wanted = false;
      this._read(0);
    });
  }

  private refuse(): void {
    this.isRefused = true;
    dropBody(this.socket);
    if (this.listenerCount('error') > 0) this.tell();
  }

  /** Once: now, or when somebody begins to read. */
  private tell(): void {
    if (this.told) return;
    this.told = true;
    if (this.listenerCount('error') === 0) {
      this.socket.destroy();
      return;
    }
    this.emit(
      'error',
      new InvalidRequest(
        `body: comes in chunks of fewer than ${WASTEFUL_CHUNK_BYTES} bytes on average; send fewer and larger ones`,
      ),
    );
  }
}
