import { Overloaded } from '../../src/errors.js';

/** Limits the log-probabilities that a coordinator holds in memory for answers not yet delivered. */
export class LogprobRoom {
  private taken = 0;

  constructor(private readonly limit: number) {}

  /** Takes room for `count` more; a negative count releases room. Throws `Overloaded` over the limit. */
  take(count: number): void {
    if (this.taken + count > this.limit) {
      throw new Overloaded(
        `cannot hold ${count} more log-probabilities: ${this.taken} of at most ${this.limit} are in use; retry later`,
      );
    }
    this.taken += count;
  }
}

/** The part of a `LogprobRoom` that one answer uses; empty at first. */
export class LogprobShare {
  private size = 0;
  private closed = false;

  constructor(private readonly room: LogprobRoom) {}

  /** Grows the share to `count`. Throws `Overloaded` if there is no room. Does nothing once closed. */
  growTo(count: number): void {
    if (this.closed || count <= this.size) return;
    this.room.take(count - this.size);
    this.size = count;
  }

  /** Releases the share: the answer has been delivered, or its client has disconnected. Idempotent. */
  close(): void {
    this.closed = true;
    this.room.take(-this.size);
    this.size = 0;
  }
}
