import { Overloaded } from '../../src/errors.js';

/** Bounds how many sequences a coordinator has accepted and not yet answered. */
export class RequestLimit {
  private inside = 0;

  constructor(private readonly limit: number) {}

  /** Takes `count` places; call what it returns once, to give them back. Throws `Overloaded` if there are not so many. */
  enter(count: number): () => void {
    if (this.inside + count > this.limit) {
      throw new Overloaded(
        `The coordinator answers ${this.inside} sequences already, of at most ${this.limit}: try again later.`,
      );
    }
    this.inside += count;
    return () => {
      this.inside -= count;
    };
  }
}
