import { Overloaded } from '../../src/errors.js';

/** Limits the sequences that a coordinator has accepted and not yet answered. */
export class RequestLimit {
  private admitted = 0;

  constructor(private readonly limit: number) {}

  /** Admits `count` sequences. Returns the function that releases them, to be called once. Throws `Overloaded` over the limit. */
  admit(count: number): () => void {
    if (this.admitted + count > this.limit) {
      throw new Overloaded(
        `cannot admit ${count} sequences: the coordinator is answering ${this.admitted} of at most ${this.limit}; retry later`,
      );
    }
    this.admitted += count;
    return () => {
      this.admitted -= count;
    };
  }
}
