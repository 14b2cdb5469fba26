/**
 * Oniguruma's regular expressions, which tokenizers are trained with, in the form that JavaScript and @huggingface/tokenizers understand. JavaScript
 * has no atomic groups and no possessive quantifiers: a lookahead with a reference to what it found has the same matches. The library takes only
 * ASCII letters for equal in groups that ignore case, although `ſ` is an `s` too.
 *
 * By `doc/RE` of Oniguruma 6.9.8 with the syntax of Ruby.
 */

/** What a group is in the result. */
interface Group {
  /** Where it begins in the result. */
  readonly start: number;
  readonly close: string;
  /** Whether letters in it match in either case. */
  readonly ignoresCase: boolean;
  readonly isLookbehind: boolean;
}

const ESCAPE = /\\(?:[pPxu]\{[^}]*\}|k<[^>]*>|x[0-9A-Fa-f]{1,2}|u[0-9A-Fa-f]{4}|[0-9]+|[\s\S])/uy;
const QUANTIFIER = /[*+?]|\{(?:\d+(?:,\d*)?|,\d+)\}/y;
const GROUP = /\((?:\?(?:<[=!]|<[A-Za-z_]\w*>|[:=!>]|i:))?/y;
const RANGE = /([^\\[\]^])-([^\\[\]])/uy;
const CLASS_TEXT = /&&|\[:\^?\w+:\]|[\s\S]/uy;
/** Numbers are unambiguous in names, which the library changes where case is ignored. */
const referenceTo = (name: number) => `\\k<__${name}>`;

/** @throws SyntaxError for an expression that cannot have the same matches in JavaScript */
export function fromOniguruma(source: string): string {
  return new Translation(source).result();
}

class Translation {
  private out = '';
  private at = 0;
  private readonly groups: Group[] = [];
  /** Where the last atom with its quantifiers begins in the result; -1 if there is none. */
  private atom = -1;
  private isQuantified = false;
  private atomicGroups = 0;
  private hasNumbers = false;

  constructor(private readonly source: string) {}

  result(): string {
    while (this.at < this.source.length) this.step();
    // The names of atomic groups would shift the numbers.
    if (this.hasNumbers && this.atomicGroups > 0) throw this.unsupported('atomic groups beside numbers of groups');
    return this.out;
  }

  private step(): void {
    const char = String.fromCodePoint(this.source.codePointAt(this.at)!);
    const quantifier = this.atom < 0 ? null : this.taken(QUANTIFIER);
    if (quantifier !== null) this.quantify(quantifier);
    else if (char === '\\') this.escape();
    else if (char === '[') this.add(this.characterClass());
    else if (char === '(') this.open();
    else if (char === ')') this.close();
    else {
      this.at += char.length;
      this.add(this.ignoresCase ? classOf(char) : char);
      if (char === '|') this.atom = -1;
    }
  }

  private get ignoresCase(): boolean {
    return this.groups.at(-1)?.ignoresCase ?? false;
  }

  /** What the expression matches at the current place, which moves behind it; null if it does not match. */
  private taken(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.source)?.[0] ?? null;
    this.at += found?.length ?? 0;
    return found;
  }

  private add(atom: string): void {
    this.atom = this.out.length;
    this.out += atom;
    this.isQuantified = false;
  }

  private escape(): void {
    const found = this.taken(ESCAPE);
    if (found === null) throw this.unsupported('a backslash at the end');
    this.hasNumbers ||= /^\\[1-9]/.test(found);
    this.add(found);
  }

  private quantify(quantifier: string): void {
    let quantified = this.out.slice(this.atom);
    // A quantifier of what has one already; JavaScript wants parentheses.
    if (this.isQuantified) quantified = `(?:${quantified})`;
    quantified += quantifier;
    const next = this.source[this.at];
    const isInterval = quantifier.startsWith('{');
    if (next === '+' && !isInterval) {
      this.at++;
      quantified = this.atomic(quantified);
    } else if (next === '?') {
      this.at++;
      // In Ruby's syntax, `{2}?` is optional, not lazy.
      quantified = isInterval && !quantifier.includes(',') ? `(?:${quantified})?` : `${quantified}?`;
    }
    this.out = this.out.slice(0, this.atom) + quantified;
    this.isQuantified = true;
  }

  private atomic(source: string): string {
    return `${this.atomicStart()}${source}${this.atomicEnd(this.atomicGroups)}`;
  }

  private atomicStart(): string {
    // JavaScript matches lookbehinds from right to left, where a reference precedes its group.
    if (this.groups.some(({ isLookbehind }) => isLookbehind)) throw this.unsupported('an atomic group in a lookbehind');
    this.atomicGroups++;
    return `(?:(?=(?<__${this.atomicGroups}>`;
  }

  private atomicEnd(name: number): string {
    return `))${referenceTo(name)})`;
  }

  private open(): void {
    const start = this.out.length;
    const prefix = this.taken(GROUP)!;
    const ignoresCase = this.ignoresCase || prefix === '(?i:';
    const isLookbehind = prefix === '(?<=' || prefix === '(?<!';
    if (this.source[this.at] === '?' && prefix === '(')
      throw this.unsupported(`the group ${this.source.slice(this.at - 1, this.at + 3)}`);
    if (prefix === '(?>') {
      this.out += this.atomicStart();
      this.groups.push({ start, close: this.atomicEnd(this.atomicGroups), ignoresCase, isLookbehind });
    } else {
      this.out += prefix;
      this.groups.push({ start, close: ')', ignoresCase, isLookbehind });
    }
    this.atom = -1;
  }

  private close(): void {
    const group = this.groups.pop();
    if (group === undefined) throw this.unsupported('a parenthesis that closes none');
    this.at++;
    this.out += group.close;
    this.atom = group.start;
    this.isQuantified = false;
  }

  /** A class in brackets, with the other cases of its letters where case is ignored. Classes may be nested. */
  private characterClass(): string {
    const from = this.at;
    let made = '';
    let depth = 0;
    do {
      if (this.at >= this.source.length) throw this.unsupported('a class that does not end');
      const start = this.at;
      const range = this.taken(RANGE);
      const part = range ?? this.taken(ESCAPE) ?? this.taken(CLASS_TEXT)!;
      // A bracket that closes is literal where a class begins.
      const isFirst = depth > 0 && /\[\^?$/.test(this.source.slice(from, start)) && part === ']';
      if (part === '[') depth++;
      else if (part === ']' && !isFirst) depth--;
      made += this.ignoresCase ? withOtherCases(part) : part;
    } while (depth > 0);
    return made;
  }

  private unsupported(what: string): SyntaxError {
    return new SyntaxError(`invalid regular expression for JavaScript: ${this.source}: has ${what}`);
  }
}

/** A part of a class, and the other cases of its letters. */
function withOtherCases(part: string): string {
  const [first, dash, last] = part;
  if (dash === '-' && last !== undefined) {
    const [from, to] = [first!.codePointAt(0)!, last.codePointAt(0)!];
    const all = otherCases(new RegExp(`[\\u{${from.toString(16)}}-\\u{${to.toString(16)}}]`, 'giu'));
    return part + all.filter((char) => char.codePointAt(0)! < from || char.codePointAt(0)! > to).join('');
  }
  return dash === undefined ? part + casesOf(part).join('') : part;
}

/** A letter as a class of its cases; another character as it is. */
function classOf(char: string): string {
  const others = casesOf(char);
  return others.length === 0 ? char : `[${char}${others.join('')}]`;
}

const otherCasesOf = new Map<string, readonly string[]>();

/** The characters that differ from this one only by case. */
function casesOf(char: string): readonly string[] {
  if (!/\p{L}/u.test(char)) return [];
  const known = otherCasesOf.get(char);
  if (known !== undefined) return known;
  const others = otherCases(new RegExp(char, 'giu')).filter((other) => other !== char);
  otherCasesOf.set(char, others);
  return others;
}

/** No letter from here on has a case. */
const CASED_END = 0x1ea00;
let cased: string | null = null;

function otherCases(pattern: RegExp): string[] {
  cased ??= casedLetters();
  return cased.match(pattern) ?? [];
}

function casedLetters(): string {
  let letters = '';
  for (let code = 0; code < CASED_END; code++) {
    const char = String.fromCodePoint(code);
    if (/\p{Changes_When_Casemapped}/u.test(char)) letters += char;
  }
  return letters;
}
