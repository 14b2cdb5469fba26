import { fromWire, toWire } from '../errors.js';
import type { ObjectBody, Piece } from './object-node.js';

/** Attempts to continue after a break. */
const REOPENINGS = 3;

/** The bytes of an object from one home, and from the next one if that home is lost in the middle. */
export class ResumedBody implements ObjectBody {
  private reopenings = 0;

  constructor(
    private body: ObjectBody,
    /** The next byte. */
    private at: number,
    private readonly reopen: (at: number) => Promise<ObjectBody>,
  ) {}

  async next(): Promise<Piece | null> {
    for (;;) {
      try {
        const piece = await this.body.next();
        this.at += piece?.bytes.byteLength ?? 0;
        return piece;
      } catch (error) {
        const failure = fromWire(toWire(error));
        if (failure.code === 'cancelled' || this.reopenings++ === REOPENINGS) throw failure;
        this.body.close();
        this.body = await this.reopen(this.at);
      }
    }
  }

  close(): void {
    this.body.close();
  }
}
