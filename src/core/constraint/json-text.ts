import { type CharSet, except, intersection, setOf, union } from './char-set.js';
import type { ProgramBuilder } from './program.js';
import { addRepeat } from './regex-states.js';

/** The parts of JSON that every schema uses. Each text has one form: characters are escaped only where they must be. */

/** Blanks with which a line of an indented document begins. */
const INDENT_SPACES = 32;
const INDENT_TABS = 8;

const CONTROLS: CharSet = [[0, 0x1f]];
const ESCAPED: CharSet = union([...CONTROLS, ...setOf('"\\')]);
const NON_ASCII: CharSet = except([[0, 0x7f]]);
const PLAIN_ASCII: CharSet = intersection(except(ESCAPED), [[0, 0x7f]]);
const SHORT_ESCAPES: Readonly<Record<number, string>> = {
  8: '\\b',
  9: '\\t',
  10: '\\n',
  12: '\\f',
  13: '\\r',
  34: '\\"',
  92: '\\\\',
};

export class JsonText {
  /**
   * Start of the blanks between two parts of a document: none, one, or a new line with its indentation. Models that may write any blanks write
   * nothing else.
   */
  readonly blanks: number;
  private readonly blankAfterColon: number;
  /** Start of any character of a string. */
  private readonly anyChar: number;
  private readonly escapedChar: number;
  private readonly nonAsciiChar: number;
  /** Start of the rest of a string, with its quotation mark. */
  private readonly tail: number;

  constructor(private readonly builder: ProgramBuilder) {
    this.escapedChar = this.rule((from, to) => this.writeEscaped(from, ESCAPED, to));
    this.nonAsciiChar = this.rule((from, to) => builder.chars(from, NON_ASCII, to));
    this.anyChar = this.rule((from, to) => this.writeChars(from, except([]), to));
    this.blanks = this.rule((from, to) => {
      const line = builder.state();
      for (const blank of ['', ' ']) builder.text(from, blank, to);
      builder.text(from, '\n', line);
      addRepeat(builder, { min: 0, max: INDENT_SPACES }, line, to, (start, end) => builder.text(start, ' ', end));
      addRepeat(builder, { min: 1, max: INDENT_TABS }, line, to, (start, end) => builder.text(start, '\t', end));
    });
    this.blankAfterColon = this.rule((from, to) => {
      for (const blank of ['', ' ']) builder.text(from, blank, to);
    });
    this.tail = this.rule((from, to) => {
      builder.call(from, this.anyChar, from);
      builder.text(from, '"', to);
    });
  }

  /** Adds the content of a string with `min` to `max` characters. */
  addAnyChars(bounds: { readonly min: number; readonly max: number }, from: number, to: number): void {
    addRepeat(this.builder, bounds, from, to, (start, end) => this.builder.call(start, this.anyChar, end));
  }

  /** Writes one character of a string. */
  writeChars(from: number, set: CharSet, to: number): void {
    this.builder.chars(from, intersection(set, PLAIN_ASCII), to);
    const escaped = intersection(set, ESCAPED);
    if (covers(escaped, ESCAPED)) this.builder.call(from, this.escapedChar, to);
    else this.writeEscaped(from, escaped, to);
    const others = intersection(set, NON_ASCII);
    if (covers(others, NON_ASCII)) this.builder.call(from, this.nonAsciiChar, to);
    else this.builder.chars(from, others, to);
  }

  /** Adds a mark between two parts, and the blanks after it. */
  addMark(from: number, mark: ',' | ':', to: number): void {
    const after = this.builder.state();
    this.builder.text(from, mark, after);
    this.builder.call(after, mark === ':' ? this.blankAfterColon : this.blanks, to);
  }

  /** Adds a string that differs from all of `names`. */
  addStringExcept(names: readonly string[], from: number, to: number): void {
    const start = this.builder.state();
    this.builder.text(from, '"', start);
    this.addExcept(
      names.map((name) => [...name]),
      start,
      to,
    );
  }

  /** Adds the rest of a string that differs from all of `rests`. */
  private addExcept(rests: readonly string[][], from: number, to: number): void {
    const next = new Map<string, string[][]>();
    for (const [character, ...rest] of rests.filter(({ length }) => length > 0)) {
      next.set(character!, [...(next.get(character!) ?? []), rest]);
    }
    if (rests.every(({ length }) => length > 0)) this.builder.text(from, '"', to);
    const other = this.builder.state();
    this.writeChars(from, except(setOf([...next.keys()].join(''))), other);
    this.builder.call(other, this.tail, to);
    for (const [character, inner] of next) {
      const state = this.builder.state();
      this.writeChars(from, setOf(character), state);
      this.addExcept(inner, state, to);
    }
  }

  private writeEscaped(from: number, set: CharSet, to: number): void {
    for (const [first, last] of set) {
      for (let code = first; code <= last; code++)
        this.builder.text(from, SHORT_ESCAPES[code] ?? `\\u${code.toString(16).padStart(4, '0')}`, to);
    }
  }

  /** Start of states that end where `add` ends. */
  private rule(add: (from: number, to: number) => void): number {
    const [start, end] = [this.builder.state(), this.builder.state()];
    add(start, end);
    this.builder.final(end);
    return start;
  }
}

function covers(set: CharSet, all: CharSet): boolean {
  return set.length === all.length && set.every(([first, last], i) => all[i]![0] === first && all[i]![1] === last);
}
