/**
 * Finds the first stop string in a text that comes in pieces. Text that could be the begin of a stop string is held back, so nothing of a
 * stop string is ever given out. Of several, the one that is complete first counts; of those complete at the same character, the longest.
 *
 * One automaton a stop string (Knuth, Morris & Pratt 1977): a character costs the number of stop strings, whatever was held back.
 */
export class StopStrings {
  private readonly automata: readonly Automaton[];
  private held = '';

  /** None of `stops` may be empty. */
  constructor(stops: readonly string[]) {
    this.automata = stops.map((stop) => new Automaton(stop));
  }

  /** The text that can be given out now. Once `stopped`, nothing more may be pushed, and nothing is held back. */
  push(text: string): { text: string; stopped: boolean } {
    if (this.automata.length === 0) return { text, stopped: false };
    const all = this.held + text;
    for (let i = this.held.length; i < all.length; i++) {
      const stop = this.advance(all.charCodeAt(i));
      if (stop === 0) continue;
      this.held = '';
      return { text: all.slice(0, i + 1 - stop), stopped: true };
    }
    const safe = all.length - Math.max(...this.automata.map((a) => a.matched));
    this.held = all.slice(safe);
    return { text: all.slice(0, safe), stopped: false };
  }

  /** What is held back: the begin of a stop string that never came. */
  flush(): string {
    const rest = this.held;
    this.held = '';
    return rest;
  }

  /** Length of the longest stop string that this character completes, or 0. */
  private advance(unit: number): number {
    let longest = 0;
    for (const automaton of this.automata) {
      if (automaton.advance(unit)) longest = Math.max(longest, automaton.length);
    }
    return longest;
  }
}

class Automaton {
  /** Characters of the stop string that the text ends with. */
  matched = 0;
  /** For each length, that of the longest proper prefix of the stop string which the first so many characters end with. */
  private readonly fallback: Uint16Array;

  constructor(readonly stop: string) {
    this.fallback = new Uint16Array(stop.length + 1);
    for (let length = 1, border = 0; length < stop.length; length++) {
      while (border > 0 && stop[length] !== stop[border]) border = this.fallback[border]!;
      if (stop[length] === stop[border]) border++;
      this.fallback[length + 1] = border;
    }
  }

  get length(): number {
    return this.stop.length;
  }

  /** True if this character completes the stop string. */
  advance(unit: number): boolean {
    while (this.matched > 0 && unit !== this.stop.charCodeAt(this.matched)) this.matched = this.fallback[this.matched]!;
    if (unit === this.stop.charCodeAt(this.matched)) this.matched++;
    return this.matched === this.stop.length;
  }
}
