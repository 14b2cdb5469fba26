import type { Clock } from '../../src/clock.js';

/** A text that is expensive to make: it is made at most once in `ageMs`, and shared by all requests in that time. */
export class SharedText {
  private made: { readonly atMs: number; readonly text: Promise<string> } | null = null;

  constructor(
    private readonly make: () => Promise<string>,
    private readonly clock: Clock,
    private readonly ageMs: number,
  ) {}

  /** The text, at most `ageMs` old. Rejects with what `make` rejects with, and then tries again at the next call. */
  get(): Promise<string> {
    const nowMs = this.clock.now();
    if (this.made !== null && nowMs < this.made.atMs + this.ageMs) return this.made.text;
    const made = { atMs: nowMs, text: this.make() };
    made.text.catch(() => {
      if (this.made === made) this.made = null;
    });
    this.made = made;
    return made.text;
  }
}
