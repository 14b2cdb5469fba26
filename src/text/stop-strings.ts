/**
 * Finds the first stop string in a stream of text. Text that may be the beginning of a stop string is held back, so no part of a stop string
 * is emitted. The stop string that is complete first ends the text; of several complete at the same character, the longest.
 *
 * There is one automaton per stop string (Knuth, Morris, Pratt, 1977), so a character costs O(number of stop strings).
 */
export class StopStrings {
  private readonly automata: readonly Automaton[];
  private held = '';
  private _found: string | null = null;

  /** @param keeps whether the text that ends at a stop string includes it */
  constructor(
    patterns: readonly StopPattern[],
    private readonly keeps = false,
  ) {
    this.automata = patterns.map((pattern) => new Automaton(pattern));
  }

  /** The stop string that ended the text; null before. */
  get found(): string | null {
    return this._found;
  }

  /** Returns the text to emit. Once `stopped`, nothing is held back, and nothing more may be pushed. */
  push(text: string): { text: string; stopped: boolean } {
    if (this.automata.length === 0) return { text, stopped: false };
    const all = this.held + text;
    for (let i = this.held.length; i < all.length; i++) {
      const stop = this.advance(all.charCodeAt(i));
      if (stop === 0) continue;
      this.held = '';
      this._found = all.slice(i + 1 - stop, i + 1);
      return { text: all.slice(0, this.keeps ? i + 1 : i + 1 - stop), stopped: true };
    }
    const safe = all.length - Math.max(...this.automata.map((a) => a.matched));
    this.held = all.slice(safe);
    return { text: all.slice(0, safe), stopped: false };
  }

  /** Returns the held-back text: the beginning of a stop string that did not complete. */
  flush(): string {
    const rest = this.held;
    this.held = '';
    return rest;
  }

  /** The length of the longest stop string that this character completes, or 0. */
  private advance(unit: number): number {
    let longest = 0;
    for (const automaton of this.automata) {
      if (automaton.advance(unit)) longest = Math.max(longest, automaton.length);
    }
    return longest;
  }
}

/** A stop string with its table, which all texts of a request share. */
export class StopPattern {
  /** By length n: the length of the longest proper prefix of the stop string with which its first n characters end. */
  readonly fallback: Uint16Array;

  /** @param stop not empty */
  constructor(readonly stop: string) {
    this.fallback = new Uint16Array(stop.length + 1);
    for (let length = 1, border = 0; length < stop.length; length++) {
      while (border > 0 && stop[length] !== stop[border]) border = this.fallback[border]!;
      if (stop[length] === stop[border]) border++;
      this.fallback[length + 1] = border;
    }
  }
}

class Automaton {
  /** The number of leading characters of the stop string with which the text ends. */
  matched = 0;

  constructor(private readonly pattern: StopPattern) {}

  get length(): number {
    return this.pattern.stop.length;
  }

  /** True if this character completes the stop string. */
  advance(unit: number): boolean {
    const { stop, fallback } = this.pattern;
    while (this.matched > 0 && unit !== stop.charCodeAt(this.matched)) this.matched = fallback[this.matched]!;
    if (unit === stop.charCodeAt(this.matched)) this.matched++;
    return this.matched === stop.length;
  }
}
