import { Overloaded } from '../../src/errors.js';

/** Bounds how many log-probabilities a coordinator holds for answers that their clients have not taken yet. */
export class LogprobRoom {
  private taken = 0;

  constructor(private readonly limit: number) {}

  /** Takes `count` more, or gives them back where it is negative. Throws `Overloaded` if there are not so many. */
  take(count: number): void {
    if (this.taken + count > this.limit) {
      throw new Overloaded(
        `The coordinator holds ${this.taken} log-probabilities for other answers already, of at most ${this.limit}: try again later.`,
      );
    }
    this.taken += count;
  }
}

/** What one answer has of that room: nothing at first. */
export class LogprobShare {
  private size = 0;
  private closed = false;

  constructor(private readonly room: LogprobRoom) {}

  /** Makes it large enough for `count`. Throws `Overloaded` if there is no room. Without effect once it is closed. */
  growTo(count: number): void {
    if (this.closed || count <= this.size) return;
    this.room.take(count - this.size);
    this.size = count;
  }

  /** Gives all of it back: the answer was taken, or nobody is there to take it. Idempotent. */
  close(): void {
    this.closed = true;
    this.room.take(-this.size);
    this.size = 0;
  }
}
