import { type CharSet, except, intersection, setOf, union } from './char-set.js';
import type { ProgramBuilder } from './program.js';
import { addRepeat } from './regex-states.js';
import { programBytes } from './special-text.js';
import { JSON_VALUES, type ValueForm } from './value-form.js';

/** The parts of values that every schema uses. Each text has one form: characters are escaped only where they must be. */

/** Blanks with which a line of an indented document begins. */
const INDENT_SPACES = 32;
const INDENT_TABS = 8;

const CONTROLS: CharSet = [[0, 0x1f]];
const ESCAPED: CharSet = union([...CONTROLS, ...setOf('"\\')]);
const NON_ASCII: CharSet = except([[0, 0x7f]]);
const ASCII: CharSet = [[0, 0x7f]];
const SHORT_ESCAPES: Readonly<Record<number, string>> = {
  8: '\\b',
  9: '\\t',
  10: '\\n',
  12: '\\f',
  13: '\\r',
  34: '\\"',
  92: '\\\\',
};

/** The characters of names without quotation marks. */
const BARE_NAME: CharSet = setOf('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.');

/** What a name may be: its characters, the text after it, and the start of any rest of it. */
interface NameEnd {
  readonly chars: CharSet;
  readonly close: string;
  readonly tail: number;
}

export class ValueText {
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
  /** By name: the start of states that several strings share. */
  private readonly starts = new Map<string, number>();
  private quotedEnd: NameEnd | null = null;
  private bareEnd: NameEnd | null = null;
  private readonly quote: Uint8Array;
  /** The characters of strings that are escaped, and those that are as they are. */
  private readonly escaped: CharSet;
  private readonly plain: CharSet;

  /** @param specials the special tokens of the model that the form may name */
  constructor(
    private readonly builder: ProgramBuilder,
    private readonly form: ValueForm = JSON_VALUES,
    specials: readonly string[] = [],
  ) {
    const { quote } = form;
    this.quote = programBytes(quote ?? '"', specials);
    this.escaped = quote === null ? ESCAPED : [];
    // Without a special token for the quotes, a string has none of their first character.
    const ends = quote === null ? ESCAPED : specials.includes(quote) ? [] : setOf([...quote][0]!);
    this.plain = except(ends);
    this.escapedChar = this.rule((from, to) => this.writeEscaped(from, this.escaped, to));
    this.nonAsciiChar = this.rule((from, to) => builder.chars(from, NON_ASCII, to));
    this.anyChar = this.rule((from, to) => this.writeChars(from, except([]), to));
    this.blanks = this.rule((from, to) => this.addBlanks(from, to));
    this.blankAfterColon = this.rule((from, to) => {
      for (const blank of form.bare ? [''] : ['', ' ']) builder.text(from, blank, to);
    });
  }

  /** The bytes of a word of the form. */
  word(word: 'true' | 'false' | 'null'): string {
    return this.form.words[word];
  }

  /** The bytes of a value; null if it has a string that the form cannot write. */
  valueBytes(value: unknown): Uint8Array | null {
    if (typeof value === 'string') return this.stringBytes(value);
    if (typeof value === 'boolean' || value === null) return Buffer.from(this.word(`${value}`));
    if (typeof value !== 'object') return Buffer.from(JSON.stringify(value));
    if (Array.isArray(value))
      return joined(
        '[',
        value.map((item) => this.valueBytes(item)),
        ']',
      );
    const members = Object.entries(value).map(([name, item]) => {
      const [key, bytes] = [this.nameBytes(name), this.valueBytes(item)];
      return key && bytes && Buffer.concat([key, Buffer.from(':'), bytes]);
    });
    return joined('{', members, '}');
  }

  /** The bytes of the name of a member; null if the form cannot write it. */
  nameBytes(name: string): Uint8Array | null {
    if (!this.form.bare) return Buffer.from(JSON.stringify(name));
    const isBare = name !== '' && [...name].every((character) => intersection(setOf(character), BARE_NAME).length > 0);
    return isBare ? Buffer.from(name) : this.stringBytes(name);
  }

  /** Adds a string with what `add` writes between its quotation marks. */
  addString(from: number, to: number, add: (from: number, to: number) => void): void {
    const [start, end] = [this.builder.state(), this.builder.state()];
    this.builder.text(from, this.quote, start);
    this.builder.text(end, this.quote, to);
    add(start, end);
  }

  /** Adds the content of a string with `min` to `max` characters. */
  addAnyChars(bounds: { readonly min: number; readonly max: number }, from: number, to: number): void {
    addRepeat(this.builder, bounds, from, to, (start, end) => this.builder.call(start, this.anyChar, end));
  }

  /** Writes one character of a string. */
  writeChars(from: number, set: CharSet, to: number): void {
    this.builder.chars(from, intersection(intersection(set, this.plain), ASCII), to);
    const escaped = intersection(set, this.escaped);
    if (escaped.length > 0 && covers(escaped, this.escaped)) this.builder.call(from, this.escapedChar, to);
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

  /** Adds the name of a member that differs from all of `names`. */
  addNameExcept(names: readonly string[], from: number, to: number): void {
    if (this.form.bare) {
      this.addBareNameExcept(names, from, to);
      return;
    }
    const start = this.builder.state();
    this.builder.text(from, '"', start);
    this.quotedEnd ??= this.endOfQuoted();
    this.addExcept(names.map(charsOf), this.quotedEnd, start, to);
  }

  /** Adds a name without quotation marks that differs from all of `names`. */
  addBareNameExcept(names: readonly string[], from: number, to: number): void {
    this.bareEnd ??= this.endOfBare();
    // It has a character.
    this.addExcept([...names, ''].map(charsOf), this.bareEnd, from, to);
  }

  /** Adds the rest of a name that differs from all of `rests`. */
  private addExcept(rests: readonly string[][], name: NameEnd, from: number, to: number): void {
    const next = new Map<string, string[][]>();
    for (const [character, ...rest] of rests.filter(({ length }) => length > 0)) {
      next.set(character!, [...(next.get(character!) ?? []), rest]);
    }
    if (rests.every(({ length }) => length > 0)) this.builder.text(from, name.close, to);
    const other = this.builder.state();
    this.writeChars(from, intersection(except(setOf([...next.keys()].join(''))), name.chars), other);
    this.builder.call(other, name.tail, to);
    for (const [character, inner] of next) {
      const state = this.builder.state();
      this.writeChars(from, setOf(character), state);
      this.addExcept(inner, name, state, to);
    }
  }

  private endOfQuoted(): NameEnd {
    const tail = this.rule((from, to) => {
      this.builder.call(from, this.anyChar, from);
      this.builder.text(from, '"', to);
    });
    return { chars: except([]), close: '"', tail };
  }

  private endOfBare(): NameEnd {
    const tail = this.rule((from, to) => {
      this.builder.chars(from, BARE_NAME, from);
      this.builder.epsilon(from, to);
    });
    return { chars: BARE_NAME, close: '', tail };
  }

  private addBlanks(from: number, to: number): void {
    const { builder } = this;
    builder.text(from, '', to);
    if (this.form.bare) return;
    builder.text(from, ' ', to);
    const line = builder.state();
    builder.text(from, '\n', line);
    addRepeat(builder, { min: 0, max: INDENT_SPACES }, line, to, (start, end) => builder.text(start, ' ', end));
    addRepeat(builder, { min: 1, max: INDENT_TABS }, line, to, (start, end) => builder.text(start, '\t', end));
  }

  /** Null for a string that would end within. */
  private stringBytes(text: string): Uint8Array | null {
    const { quote } = this.form;
    if (quote === null) return Buffer.from(JSON.stringify(text));
    if (![...text].every((character) => intersection(this.plain, setOf(character)).length > 0)) return null;
    return Buffer.concat([this.quote, Buffer.from(text), this.quote]);
  }

  private writeEscaped(from: number, set: CharSet, to: number): void {
    for (const [first, last] of set) {
      for (let code = first; code <= last; code++)
        this.builder.text(from, SHORT_ESCAPES[code] ?? `\\u${code.toString(16).padStart(4, '0')}`, to);
    }
  }

  /** The start of states that are added once, and shared by all that ask for them by this name. */
  shared(name: string, add: (from: number, to: number) => void): number {
    const start = this.starts.get(name) ?? this.rule(add);
    this.starts.set(name, start);
    return start;
  }

  /** Start of states that end where `add` ends. */
  private rule(add: (from: number, to: number) => void): number {
    const [start, end] = [this.builder.state(), this.builder.state()];
    add(start, end);
    this.builder.final(end);
    return start;
  }
}

function charsOf(name: string): string[] {
  return [...name];
}

/** The parts with commas between them; null if one is null. */
function joined(open: string, parts: readonly (Uint8Array | null)[], close: string): Uint8Array | null {
  const bytes: Uint8Array[] = [Buffer.from(open)];
  for (const [i, part] of parts.entries()) {
    if (part === null) return null;
    bytes.push(Buffer.from(i === 0 ? '' : ','), part);
  }
  return Buffer.concat([...bytes, Buffer.from(close)]);
}

function covers(set: CharSet, all: CharSet): boolean {
  return set.length === all.length && set.every(([first, last], i) => all[i]![0] === first && all[i]![1] === last);
}
