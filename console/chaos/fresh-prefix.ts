/**
 * Chooses the salts of questions, so that there is always K/V to compute and to send: under the same salt, each worker soon has all of it. Pure but
 * for its names.
 */

/** How long a salt is used at least, and for how many questions, so that most of them find their prompt on a slow machine, too. */
const [SALT_MS, SALT_USES] = [1_000, 16];

/** A salt, and the worker that has to begin the answer; null for any. */
export interface FreshPrefix {
  readonly salt: string;
  readonly worker: string | null;
}

export class FreshPrefixes {
  private salt = '';
  private fromMs = Number.NEGATIVE_INFINITY;
  /** Questions under the salt. */
  private uses = SALT_USES;
  private salts = 0;

  /** @param newSalt gives one that nobody has used */
  constructor(private readonly newSalt: () => string) {}

  /**
   * The prefix of the next question. If a worker is to send its blocks to others, it has to have some that they lack: each second, a question under a
   * new salt goes to that worker, and the next one to another.
   * @param senders workers whose blocks others should get
   * @param others workers that serve, without those
   */
  next(nowMs: number, senders: readonly string[], others: readonly string[]): FreshPrefix {
    if (nowMs - this.fromMs >= SALT_MS && (this.uses >= SALT_USES || senders.length > 0)) {
      [this.salt, this.fromMs, this.uses] = [this.newSalt(), nowMs, 0];
      this.salts++;
    }
    const named = [senders, others][this.uses++] ?? [];
    const worker = senders.length === 0 ? null : (named[this.salts % named.length] ?? null);
    return { salt: this.salt, worker };
  }
}
