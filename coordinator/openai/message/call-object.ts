import type { CallText } from './call-text.js';
import { withoutTokenMarks } from './token-mark.js';
import { argumentsOf } from './whole-call.js';

/** Reads calls that are written as JSON objects. */

/** Where in the JSON object the next character is. */
type Place = 'begin' | 'key' | 'colon' | 'value' | 'next' | 'done' | 'broken';

const BLANK = /\s/;
const ARGUMENTS = ['arguments', 'parameters'];

/** One call that a model writes as a JSON object, `{"name": …, "arguments": {…}}`, read character by character. */
export class CallObject implements CallText {
  name: string | null = null;
  raw = '';
  private place: Place = 'begin';
  private key = '';
  /** The key or the value that is being read. */
  private token = '';
  private depth = 0;
  private string: 'outside' | 'inside' | 'escape' = 'outside';
  /** The JSON of the arguments so far; null if they have not begun. */
  private json: string | null = null;
  private given = 0;
  /** The characters of the text up to the end of the arguments; null while they are not whole. */
  private whole: number | null = null;

  /** A call with a known name; only its arguments follow. */
  static named(name: string): CallObject {
    const call = new CallObject();
    call.name = name;
    call.key = 'arguments';
    call.place = 'value';
    call.bare = true;
    return call;
  }

  /** Whether the text is the arguments alone, without an object around them. */
  private bare = false;

  get done(): boolean {
    return this.place === 'done';
  }

  get broken(): boolean {
    return this.place === 'broken' || (this.done && this.name === null);
  }

  get begun(): boolean {
    return this.name !== null && (this.json !== null || this.done);
  }

  get rest(): string {
    return this.raw.slice(this.whole ?? 0);
  }

  push(character: string): void {
    this.raw += character;
    this.step(character);
  }

  takeArguments(): string {
    const json = this.json ?? (this.done ? '{}' : '');
    const piece = json.slice(this.given);
    this.given = json.length;
    return piece;
  }

  private step(character: string): void {
    switch (this.place) {
      case 'begin':
        this.place = character === '{' ? 'key' : 'broken';
        return;
      case 'key':
        this.readKey(character);
        return;
      case 'colon':
        this.expect(character, { ':': 'value' });
        return;
      case 'value':
        this.readValue(character);
        return;
      case 'next':
        this.expect(character, { ',': 'key', '}': 'done' });
        return;
    }
  }

  private expect(character: string, places: Readonly<Record<string, Place>>): void {
    if (!BLANK.test(character)) this.place = places[character] ?? 'broken';
  }

  private readKey(character: string): void {
    if (this.token === '' && character !== '"') {
      this.expect(character, { '}': 'done' });
      return;
    }
    this.token += character;
    this.follow(character);
    if (this.string !== 'outside') return;
    this.key = textOf(this.token) ?? '';
    this.token = '';
    // What was given of the first arguments cannot be taken back.
    this.place = ARGUMENTS.includes(this.key) && this.json !== null ? 'broken' : 'colon';
  }

  private readValue(character: string): void {
    const outside = this.string === 'outside' && this.depth === 0;
    if (this.token === '' && BLANK.test(character)) return;
    // Only a mark ends a number or a word.
    if (outside && this.token !== '' && /[,}\s]/.test(character)) {
      this.endValue();
      this.step(character);
      return;
    }
    this.token += character;
    this.follow(character);
    if (ARGUMENTS.includes(this.key)) this.readArguments();
    if (this.place === 'broken') return;
    if (this.string === 'outside' && this.depth === 0 && /["}\]]/.test(character)) this.endValue();
  }

  /** What is no object is no call's arguments. Some models write them as JSON in a string, which shows at its end. */
  private readArguments(): void {
    if (this.token.startsWith('{')) this.json = this.token;
    else if (!this.token.startsWith('"')) this.place = 'broken';
  }

  private endValue(): void {
    const { key, token } = this;
    this.token = '';
    this.place = this.bare ? 'done' : 'next';
    if (key === 'name') this.name = textOf(withoutTokenMarks(token));
    if (ARGUMENTS.includes(key)) {
      this.json = textOf(token) ?? token;
      if (argumentsOf(this.json) === null) this.place = 'broken';
    }
    if (this.json !== null && !this.broken && [...ARGUMENTS, 'name'].includes(key)) this.whole = this.raw.length;
  }

  /** Follows strings, and objects and arrays in each other. */
  private follow(character: string): void {
    if (this.string === 'escape') this.string = 'inside';
    else if (this.string === 'inside') {
      if (character === '\\') this.string = 'escape';
      if (character === '"') this.string = 'outside';
    } else if (character === '"') this.string = 'inside';
    else if (character === '{' || character === '[') this.depth++;
    else if (character === '}' || character === ']') this.depth--;
  }
}

/** The text of a JSON string; null if it is none. */
function textOf(json: string): string | null {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'string' ? value : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
