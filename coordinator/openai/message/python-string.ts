import { escapedUnit, inJson } from './json-string.js';
import type { Scalar, ScalarState } from './literal-scalars.js';

const ESCAPES: Readonly<Record<string, string>> = {
  ...{ n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', a: '\x07', v: '\v' },
  ...{ '\\': '\\', "'": "'", '"': '"', '\n': '' },
};
/** How many digits follow the letter of an escape. */
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };
const LAST_CHAR = 0x10ffff;

/** A string literal of Python as a JSON string, after its first quotation mark. */
export class PythonString implements Scalar {
  private json = '';
  /** `second`: after a mark that follows the first one; it ends an empty string, or is one of three. */
  private place: 'first' | 'second' | 'inside' | 'escape' | 'digits' = 'first';
  private triple = false;
  /** Marks in a row within a string with three. */
  private marks = 0;
  private digits = '';
  private digitsLeft = 0;
  private base: 8 | 16 = 16;

  constructor(private readonly mark: string) {}

  push(character: string): ScalarState {
    switch (this.place) {
      case 'first':
        this.place = character === this.mark ? 'second' : 'inside';
        if (this.place === 'second') return 'more';
        this.json += '"';
        return this.readInside(character);
      case 'second':
        this.json += '"';
        if (character !== this.mark) {
          this.json += '"';
          return 'past';
        }
        this.triple = true;
        this.place = 'inside';
        return 'more';
      case 'inside':
        return this.readInside(character);
      case 'escape':
        return this.readEscape(character);
      case 'digits':
        return this.readDigit(character);
    }
  }

  take(): string {
    const { json } = this;
    this.json = '';
    return json;
  }

  private readInside(character: string): ScalarState {
    if (character === this.mark && this.triple) {
      if (++this.marks < 3) return 'more';
      this.json += '"';
      return 'end';
    }
    this.json += inJson(this.mark).repeat(this.marks);
    this.marks = 0;
    if (character === this.mark) {
      this.json += '"';
      return 'end';
    }
    if (character === '\\') this.place = 'escape';
    else this.json += inJson(character);
    return 'more';
  }

  private readEscape(character: string): ScalarState {
    this.place = 'inside';
    if (Object.hasOwn(ESCAPES, character)) {
      const meant = ESCAPES[character]!;
      this.json += meant === '' ? '' : inJson(meant);
    } else if (Object.hasOwn(HEX_DIGITS, character)) this.beginDigits(16, HEX_DIGITS[character]!);
    else if (/[0-7]/.test(character)) {
      this.beginDigits(8, 3);
      return this.readDigit(character);
    }
    // Python keeps the backslash before other characters.
    else this.json += `\\\\${inJson(character)}`;
    return 'more';
  }

  private beginDigits(base: 8 | 16, most: number): void {
    this.place = 'digits';
    this.digits = '';
    this.base = base;
    this.digitsLeft = most;
  }

  private readDigit(character: string): ScalarState {
    const isDigit = (this.base === 8 ? /[0-7]/ : /[\da-fA-F]/).test(character);
    if (!isDigit) {
      if (this.base === 16) return 'broken';
      this.endDigits();
      return this.readInside(character);
    }
    this.digits += character;
    if (--this.digitsLeft > 0) return 'more';
    return this.endDigits();
  }

  private endDigits(): ScalarState {
    const code = Number.parseInt(this.digits, this.base);
    this.place = 'inside';
    if (code > LAST_CHAR) return 'broken';
    this.json += code > 0xffff ? String.fromCodePoint(code) : escapedUnit(code);
    return 'more';
  }
}
