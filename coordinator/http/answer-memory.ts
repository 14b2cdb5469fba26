/** The limits of an `AnswerMemory`. */
export interface AnswerMemoryLimits {
  /** Time for which an answer is remembered after its end. */
  readonly windowMs: number;
  readonly answers: number;
  /** Limit on all answers together. */
  readonly totalBytes: number;
  /** Limit on one answer; a longer one is forgotten. */
  readonly answerBytes: number;
}

interface Remembered<T> {
  readonly answer: T;
  bytes: number;
  /** Null while the answer is being computed. */
  endedMs: number | null;
}

/**
 * Running and recently finished answers by key, within limits. Over a limit the oldest answers are forgotten first, running or not. Reports about
 * an answer that was forgotten or replaced have no effect.
 */
export class AnswerMemory<T> {
  /** Oldest first. */
  private readonly remembered = new Map<string, Remembered<T>>();
  private bytes = 0;

  /** `onForgotten` is called for each answer that is dropped, for any reason. */
  constructor(
    private readonly limits: AnswerMemoryLimits,
    private readonly onForgotten: (answer: T) => void,
  ) {}

  get size(): number {
    return this.remembered.size;
  }

  get totalBytes(): number {
    return this.bytes;
  }

  get(key: string, nowMs: number): T | null {
    this.expire(nowMs);
    return this.remembered.get(key)?.answer ?? null;
  }

  /** Remembers a new answer, in place of any other with this key. */
  add(key: string, answer: T): void {
    this.drop(key);
    this.remembered.set(key, { answer, bytes: 0, endedMs: null });
    this.makeRoom();
  }

  /** The answer has become longer by `bytes`. */
  grew(key: string, answer: T, bytes: number): void {
    const entry = this.entryOf(key, answer);
    if (entry === null) return;
    entry.bytes += bytes;
    this.bytes += bytes;
    if (entry.bytes > this.limits.answerBytes) this.drop(key);
    this.makeRoom();
  }

  ended(key: string, answer: T, nowMs: number): void {
    const entry = this.entryOf(key, answer);
    if (entry !== null) entry.endedMs = nowMs;
  }

  forget(key: string, answer: T): void {
    if (this.entryOf(key, answer) !== null) this.drop(key);
  }

  /** Forgets some answers, running or not. Returns their number. */
  forgetAll(isChosen: (answer: T) => boolean): number {
    const chosen = [...this.remembered].filter(([, { answer }]) => isChosen(answer));
    for (const [key] of chosen) this.drop(key);
    return chosen.length;
  }

  /** Forgets the answers that ended longer ago than the window. */
  expire(nowMs: number): void {
    for (const [key, { endedMs }] of this.remembered) {
      if (endedMs !== null && nowMs - endedMs >= this.limits.windowMs) this.drop(key);
    }
  }

  clear(): void {
    for (const key of [...this.remembered.keys()]) this.drop(key);
  }

  private entryOf(key: string, answer: T): Remembered<T> | null {
    const entry = this.remembered.get(key);
    return entry?.answer === answer ? entry : null;
  }

  private makeRoom(): void {
    for (const key of this.remembered.keys()) {
      if (this.remembered.size <= this.limits.answers && this.bytes <= this.limits.totalBytes) return;
      this.drop(key);
    }
  }

  private drop(key: string): void {
    const entry = this.remembered.get(key);
    if (entry === undefined) return;
    this.remembered.delete(key);
    this.bytes -= entry.bytes;
    this.onForgotten(entry.answer);
  }
}
