import { inJson } from './json-string.js';
import { withoutTokenMarks } from './token-mark.js';

/** The parts of a literal that have no parts. */

/** `past`: the character belongs to what follows. */
export type ScalarState = 'more' | 'end' | 'past' | 'broken';

export interface Scalar {
  push(character: string): ScalarState;
  /** The JSON that was not taken before. */
  take(): string;
}

/** The character after a name, and those that no name has. */
export interface NameEnds {
  readonly assign: string;
  readonly never: string;
}

/** The name of a member without quotation marks, up to the mark before its value. */
export class NameScalar implements Scalar {
  /** Whether the mark has been read. */
  assigned = false;
  private text = '';

  constructor(private readonly ends: NameEnds) {}

  push(character: string): ScalarState {
    if (character === this.ends.assign) {
      this.assigned = true;
      return this.text.trim() === '' ? 'broken' : 'end';
    }
    if (this.ends.never.includes(character)) return 'broken';
    this.text += character;
    return 'more';
  }

  take(): string {
    return JSON.stringify(withoutTokenMarks(this.text).trim());
  }
}

/** A string between two marks of several characters, within which every character stands for itself. */
export class QuotedString implements Scalar {
  /** The end of what was read, as far as it may begin the mark. */
  private held = '';
  private place: 'opening' | 'inside' | 'else' = 'opening';
  private json = '';

  /** @param other what is read if the first mark is not there */
  constructor(
    private readonly quote: string,
    private readonly other: Scalar,
  ) {}

  push(character: string): ScalarState {
    if (this.place === 'else') return this.other.push(character);
    this.held += character;
    if (this.held === this.quote) {
      this.held = '';
      this.json += '"';
      const ends = this.place === 'inside';
      this.place = 'inside';
      return ends ? 'end' : 'more';
    }
    if (this.quote.startsWith(this.held)) return 'more';
    if (this.place === 'opening') return this.readOther();
    while (!this.quote.startsWith(this.held)) {
      this.json += inJson(this.held[0]!);
      this.held = this.held.slice(1);
    }
    return 'more';
  }

  /** Whether it is a name without the marks, and the mark after it has been read. */
  get assigned(): boolean {
    return this.place === 'else' && this.other instanceof NameScalar && this.other.assigned;
  }

  take(): string {
    const { json } = this;
    this.json = '';
    return this.place === 'else' ? this.other.take() : json;
  }

  private readOther(): ScalarState {
    this.place = 'else';
    let state: ScalarState = 'more';
    for (const character of this.held) if (state === 'more') state = this.other.push(character);
    return state;
  }
}

const PYTHON_WORDS: Readonly<Record<string, string>> = {
  ...{ True: 'true', False: 'false', None: 'null' },
  ...{ true: 'true', false: 'false', null: 'null' },
};
const END = /[,\]})\n]/;
const JSON_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** A number or a word. In the syntax of Gemma also a text without its marks. */
export class BareScalar implements Scalar {
  private text = '';
  private json = '';

  constructor(private readonly syntax: 'python' | 'gemma') {}

  push(character: string): ScalarState {
    if (!END.test(character)) {
      this.text += character;
      return 'more';
    }
    const json = this.valueOf(withoutTokenMarks(this.text).trim());
    if (json === null) return 'broken';
    this.json = json;
    return 'past';
  }

  take(): string {
    const { json } = this;
    this.json = '';
    return json;
  }

  private valueOf(text: string): string | null {
    if (Object.hasOwn(PYTHON_WORDS, text)) return PYTHON_WORDS[text]!;
    const number = numberOf(text);
    if (number !== null) return number;
    return this.syntax === 'gemma' ? JSON.stringify(text) : null;
  }
}

/** A number as JSON has it; null for anything else. */
function numberOf(text: string): string | null {
  if (JSON_NUMBER.test(text)) return text;
  const [, sign, digits] = /^([+-]?)(.*)$/s.exec(text)!;
  const minus = sign === '-' ? '-' : '';
  const plain = digits!.replace(/(?<=[\da-f])_(?=[\da-f])/gi, '');
  if (/^0(?:x[\da-f]+|o[0-7]+|b[01]+)$/i.test(plain)) return minus + BigInt(plain).toString();
  const full = plain.replace(/^\./, '0.').replace(/\.(?=$|[eE])/, '.0');
  return JSON_NUMBER.test(full) ? minus + full : null;
}
