import type { Clock } from '../../src/clock.js';
import { Overloaded } from '../../src/errors.js';
import { ApiError } from '../openai/api-error.js';

/** A body of at most this many bytes is small. */
export const SMALL_BODY_BYTES = 64 * 2 ** 10;
/** The part of the budget that larger bodies may take together, so that they never shut out small ones. */
const LARGE_SHARE = 0.75;
/** An upload that has been silent for this long is ended in favour of others when the budget is used up. */
const STALLED_MS = 2_000;

interface Upload {
  activeMs: number;
  onEvicted(error: ApiError): void;
}

/** The memory of all request bodies together, from their first byte until their request ends. */
export class BodyBudget {
  private used = 0;
  /** The least recently active first. */
  private readonly uploads = new Map<BodyShare, Upload>();

  constructor(
    private readonly limitBytes: number,
    private readonly clock: Clock,
  ) {}

  get usedBytes(): number {
    return this.used;
  }

  /** A share for one body. `onEvicted` is called at most once, if the upload stalls and its memory is needed: the share is then released. */
  open(onEvicted: (error: ApiError) => void): BodyShare {
    const share = new BodyShare(this);
    this.uploads.set(share, { activeMs: this.clock.now(), onEvicted });
    return share;
  }

  /** @internal for `BodyShare`. Throws `Overloaded` if there is no room. */
  take(share: BodyShare, heldBytes: number, bytes: number): void {
    const limit = heldBytes + bytes > SMALL_BODY_BYTES ? this.limitBytes * LARGE_SHARE : this.limitBytes;
    while (this.used + bytes > limit && this.evictStalled(share));
    if (this.used + bytes > limit) {
      throw new Overloaded(
        `body: no memory for it now: all request bodies together may have ${this.limitBytes} bytes; retry later, or raise --body-budget (SHOAL_BODY_BUDGET)`,
      );
    }
    this.used += bytes;
    const upload = this.uploads.get(share);
    if (upload === undefined) return;
    upload.activeMs = this.clock.now();
    this.uploads.delete(share);
    this.uploads.set(share, upload);
  }

  /** @internal for `BodyShare` */
  completed(share: BodyShare): void {
    this.uploads.delete(share);
  }

  /** @internal for `BodyShare` */
  free(share: BodyShare, bytes: number): void {
    this.uploads.delete(share);
    this.used -= bytes;
  }

  private evictStalled(except: BodyShare): boolean {
    const [oldest] = this.uploads;
    if (oldest === undefined || oldest[0] === except) return false;
    const [share, { activeMs, onEvicted }] = oldest;
    if (this.clock.now() - activeMs < STALLED_MS) return false;
    share.release();
    onEvicted(
      new ApiError(408, 'body: the upload stalled while other requests needed its memory; retry', {
        code: 'upload_stalled',
      }),
    );
    return true;
  }
}

/** The memory of one body. */
export class BodyShare {
  private held = 0;
  private released = false;

  constructor(private readonly budget: BodyBudget) {}

  /** Counts bytes that have come. Throws `Overloaded` if there is no room for them. */
  take(bytes: number): void {
    if (this.released) return;
    this.budget.take(this, this.held, bytes);
    this.held += bytes;
  }

  /** The body has come in whole: it is not evicted any more. */
  complete(): void {
    this.budget.completed(this);
  }

  /** Idempotent. */
  release(): void {
    if (this.released) return;
    this.released = true;
    this.budget.free(this, this.held);
    this.held = 0;
  }
}
