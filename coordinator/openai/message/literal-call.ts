import type { CallText } from './call-text.js';
import { BareScalar, type NameEnds, NameScalar, QuotedString, type Scalar } from './literal-scalars.js';
import { PythonString } from './python-string.js';

/** Reads calls whose arguments are not JSON: in the syntax of Python, or of Gemma. */

export type LiteralSyntax =
  /** `name(key=value)`, with the literals of Python. */
  | { readonly type: 'python' }
  /** `name{key:value}`, with `quote` on both sides of strings and names without quotation marks. */
  | { readonly type: 'gemma'; readonly quote: string };

/** Where the next character is: `item` before a member or an item, or the end of what has them. */
type Place = 'item' | 'colon' | 'value' | 'next' | 'done' | 'broken';

interface Level {
  readonly kind: 'arguments' | 'object' | 'array';
  readonly close: string;
  items: number;
}

const BLANK = /\s/;

/** The arguments of a call with a known name, after the bracket that opens them, as JSON. */
export class LiteralCall implements CallText {
  raw = '';
  private place: Place = 'item';
  private readonly levels: Level[] = [];
  private scalar: Scalar | null = null;
  /** Whether the scalar is the name of a member. */
  private isName = false;
  private json = '{';
  private given = 0;
  private hasValue = false;

  constructor(
    readonly name: string,
    private readonly syntax: LiteralSyntax,
  ) {
    this.levels.push({ kind: 'arguments', close: syntax.type === 'python' ? ')' : '}', items: 0 });
  }

  get done(): boolean {
    return this.place === 'done';
  }

  get broken(): boolean {
    return this.place === 'broken';
  }

  /** The first value tells a call from a text in brackets. */
  get begun(): boolean {
    return this.hasValue || this.done;
  }

  get rest(): string {
    return this.raw;
  }

  push(character: string): void {
    this.raw += character;
    this.step(character);
  }

  takeArguments(): string {
    const piece = this.json.slice(this.given);
    this.given = this.json.length;
    return piece;
  }

  private step(character: string): void {
    if (this.scalar !== null) this.readScalar(this.scalar, character);
    else if (BLANK.test(character)) return;
    else if (this.place === 'item') this.beginItem(character);
    else if (this.place === 'value') this.beginValue(character);
    else if (this.place === 'colon') this.place = character === ':' ? this.named() : 'broken';
    else if (this.place === 'next') this.readNext(character);
  }

  private readScalar(scalar: Scalar, character: string): void {
    const state = scalar.push(character);
    const piece = this.isName ? '' : scalar.take();
    this.json += piece;
    this.hasValue ||= piece !== '';
    if (state === 'more') return;
    this.scalar = null;
    if (state === 'broken') this.place = 'broken';
    else if (!this.isName) this.place = 'next';
    else this.endName(scalar);
    if (state === 'past' && !this.broken) this.step(character);
  }

  private endName(scalar: Scalar): void {
    this.isName = false;
    if (this.level.items++ > 0) this.json += ',';
    this.json += scalar.take();
    this.place = 'colon';
    if ((scalar instanceof NameScalar || scalar instanceof QuotedString) && scalar.assigned) this.place = this.named();
  }

  private named(): Place {
    this.json += ':';
    return 'value';
  }

  private get level(): Level {
    return this.levels.at(-1)!;
  }

  private beginItem(character: string): void {
    const { kind, close } = this.level;
    if (character === close) this.close();
    else if (kind === 'array') {
      if (this.level.items++ > 0) this.json += ',';
      this.beginValue(character);
    } else this.beginName(character);
  }

  private beginName(character: string): void {
    this.isName = true;
    if (this.syntax.type === 'python' && this.level.kind === 'object') {
      this.beginPythonString(character);
      return;
    }
    const ends: NameEnds =
      this.syntax.type === 'python' ? { assign: '=', never: '()[]{},:"\'' } : { assign: ':', never: '{}[],' };
    const quote = this.syntax.type === 'gemma' ? this.syntax.quote : null;
    this.scalar = quote?.startsWith(character) ? new QuotedString(quote, new NameScalar(ends)) : new NameScalar(ends);
    this.readScalar(this.scalar, character);
  }

  private beginValue(character: string): void {
    if (character === '[' || character === '{') {
      const isList = character === '[';
      this.json += character;
      this.hasValue = true;
      this.levels.push({ kind: isList ? 'array' : 'object', close: isList ? ']' : '}', items: 0 });
      this.place = 'item';
    } else if (this.syntax.type === 'gemma') {
      const { quote } = this.syntax;
      const bare = new BareScalar('gemma');
      this.scalar = quote.startsWith(character) ? new QuotedString(quote, bare) : bare;
      this.readScalar(this.scalar, character);
    } else if (character === '"' || character === "'") this.beginPythonString(character);
    else {
      this.scalar = new BareScalar('python');
      this.readScalar(this.scalar, character);
    }
  }

  private beginPythonString(character: string): void {
    if (character !== '"' && character !== "'") this.place = 'broken';
    else this.scalar = new PythonString(character);
  }

  private readNext(character: string): void {
    if (character === ',') this.place = 'item';
    else if (character === this.level.close) this.close();
    else this.place = 'broken';
  }

  private close(): void {
    this.json += this.level.kind === 'array' ? ']' : '}';
    this.levels.pop();
    this.place = this.levels.length === 0 ? 'done' : 'next';
  }
}
