import { InvalidRequest } from '../../errors.js';
import { ANY_CHAR, type CharRange, type CharSet, except, setOf, union } from './char-set.js';

/** Reads the regular part of regular expressions, in the syntax of ECMAScript with the flag `u`. */

export type Regex =
  | { readonly type: 'chars'; readonly set: CharSet }
  | { readonly type: 'sequence'; readonly items: readonly Regex[] }
  | { readonly type: 'choice'; readonly options: readonly Regex[] }
  | { readonly type: 'repeat'; readonly item: Regex; readonly min: number; readonly max: number }
  /** `^` or `$`. */
  | { readonly type: 'edge'; readonly at: 'start' | 'end' };

/** Length of an expression, and groups in each other. */
const SOURCE_CHARS = 8_192;
const GROUP_DEPTH = 64;
/** Highest number in a `{}`. */
const REPETITIONS = 4_096;

const DIGITS: CharSet = [[0x30, 0x39]];
const WORD: CharSet = union([
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
]);
const BLANK: CharSet = union([
  ...setOf('\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff'),
  [0x2000, 0x200a],
]);
const CLASSES: Readonly<Record<string, CharSet>> = {
  d: DIGITS,
  D: except(DIGITS),
  w: WORD,
  W: except(WORD),
  s: BLANK,
  S: except(BLANK),
};
const CONTROLS: Readonly<Record<string, string>> = { t: '\t', n: '\n', v: '\v', f: '\f', r: '\r', '0': '\0' };
/** All but line ends, as without the flag `s`. */
const DOT: CharSet = except(setOf('\n\r\u2028\u2029'));

/** @throws InvalidRequest, without the name of a field, for a source that is not regular or not an expression */
export function parseRegex(source: string): Regex {
  if (source.length > SOURCE_CHARS) throw new InvalidRequest(`must have at most ${SOURCE_CHARS} characters`);
  const parser = new RegexParser([...source]);
  return parser.parse();
}

class RegexParser {
  private at = 0;
  private depth = 0;

  constructor(private readonly source: readonly string[]) {}

  parse(): Regex {
    const regex = this.choice();
    if (this.at < this.source.length) throw this.wrong(`has a '${this.source[this.at]}' too many`);
    return regex;
  }

  private choice(): Regex {
    const options = [this.sequence()];
    while (this.take('|')) options.push(this.sequence());
    return options.length === 1 ? options[0]! : { type: 'choice', options };
  }

  private sequence(): Regex {
    const items: Regex[] = [];
    while (this.at < this.source.length && !['|', ')'].includes(this.source[this.at]!)) items.push(this.repeated());
    return { type: 'sequence', items };
  }

  private repeated(): Regex {
    const item = this.atom();
    const range = this.quantifier();
    if (range === null) return item;
    // Whether a repetition is lazy makes no difference to what matches.
    this.take('?');
    if (item.type === 'edge') throw this.wrong('repeats an anchor');
    return { type: 'repeat', item, ...range };
  }

  private quantifier(): { min: number; max: number } | null {
    if (this.take('*')) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.take('+')) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.take('?')) return { min: 0, max: 1 };
    const counted = /^\{(\d+)(?:(,)(\d*))?\}/.exec(this.source.slice(this.at, this.at + 32).join(''));
    if (counted === null) return null;
    this.at += counted[0].length;
    const min = Number(counted[1]);
    const max = counted[2] === undefined ? min : counted[3] === '' ? Number.POSITIVE_INFINITY : Number(counted[3]);
    if (max < min) throw this.wrong(`has {${min},${max}}, which is empty`);
    if (min > REPETITIONS || (max > REPETITIONS && max !== Number.POSITIVE_INFINITY))
      throw this.wrong(`repeats more than ${REPETITIONS} times`);
    return { min, max };
  }

  private atom(): Regex {
    const character = this.source[this.at++]!;
    switch (character) {
      case '.':
        return { type: 'chars', set: DOT };
      case '^':
        return { type: 'edge', at: 'start' };
      case '$':
        return { type: 'edge', at: 'end' };
      case '(':
        return this.group();
      case '[':
        return { type: 'chars', set: this.charClass() };
      case '\\':
        return { type: 'chars', set: this.escape() };
      case '*':
      case '+':
      case '?':
        throw this.wrong(`has a '${character}' that repeats nothing`);
      default:
        return { type: 'chars', set: setOf(character) };
    }
  }

  private group(): Regex {
    if (this.take('?') && !this.take(':')) {
      if (!this.take('<') || ['=', '!'].includes(this.source[this.at] ?? '')) throw this.wrong('looks ahead or behind');
      while (this.at < this.source.length && !this.take('>')) this.at++;
    }
    if (++this.depth > GROUP_DEPTH) throw this.wrong(`has more than ${GROUP_DEPTH} groups in each other`);
    const inner = this.choice();
    this.depth--;
    if (!this.take(')')) throw this.wrong("lacks a ')'");
    return inner;
  }

  private charClass(): CharSet {
    const negated = this.take('^');
    const ranges: CharRange[] = [];
    while (!this.take(']')) {
      if (this.at >= this.source.length) throw this.wrong("lacks a ']'");
      const first = this.classItem();
      const isRange = this.source[this.at] === '-' && this.source[this.at + 1] !== ']';
      const single = first.length === 1 && first[0]![0] === first[0]![1];
      if (!isRange || !single) {
        ranges.push(...first);
        continue;
      }
      this.at++;
      const last = this.classItem();
      const [from, to] = [first[0]![0], last[0]?.[0] ?? -1];
      if (last.length !== 1 || last[0]![1] !== to || to < from) throw this.wrong('has a range that is none');
      ranges.push([from, to]);
    }
    const set = union(ranges);
    return negated ? except(set) : set;
  }

  private classItem(): CharSet {
    const character = this.source[this.at++];
    if (character === undefined) throw this.wrong("lacks a ']'");
    if (character !== '\\') return setOf(character);
    if (this.take('b')) return setOf('\b');
    return this.escape();
  }

  private escape(): CharSet {
    const character = this.source[this.at++];
    if (character === undefined) throw this.wrong('ends with a backslash');
    const known = CLASSES[character];
    if (known !== undefined && Object.hasOwn(CLASSES, character)) return known;
    if (Object.hasOwn(CONTROLS, character)) return setOf(CONTROLS[character]!);
    if (character === 'x') return this.hex(/^[0-9a-fA-F]{2}/);
    if (character === 'u') return this.hex(/^(?:\{([0-9a-fA-F]{1,6})\}|[0-9a-fA-F]{4})/);
    if (/[a-zA-Z1-9]/.test(character)) throw this.wrong(`has \\${character}, which is not regular or not known`);
    return setOf(character);
  }

  private hex(form: RegExp): CharSet {
    const found = form.exec(this.source.slice(this.at, this.at + 8).join(''));
    if (found === null) throw this.wrong('has an escape that is none');
    this.at += found[0].length;
    const codePoint = Number.parseInt(found[1] ?? found[0], 16);
    if (codePoint > 0x10ffff) throw this.wrong('has a character over 10ffff');
    return union([[codePoint, codePoint]]);
  }

  private take(character: string): boolean {
    if (this.source[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private wrong(what: string): InvalidRequest {
    return new InvalidRequest(
      `${what} (at character ${this.at}); only regular expressions without look-around, references and \\b can be honoured`,
    );
  }
}

/** An expression that matches texts in which `regex` matches somewhere: `^` and `$` at its ends are taken away, and anything is added elsewhere. */
export function anywhere(regex: Regex): Regex {
  const options = regex.type === 'choice' ? regex.options : [regex];
  return { type: 'choice', options: options.map(fromEdgeToEdge) };
}

function fromEdgeToEdge(option: Regex): Regex {
  const items = option.type === 'sequence' ? [...option.items] : [option];
  const anything: Regex = {
    type: 'repeat',
    item: { type: 'chars', set: ANY_CHAR },
    min: 0,
    max: Number.POSITIVE_INFINITY,
  };
  const isEdge = (item: Regex | undefined, at: 'start' | 'end') => item?.type === 'edge' && item.at === at;
  const begins = isEdge(items[0], 'start');
  const ends = isEdge(items.at(-1), 'end');
  const inner = items.slice(begins ? 1 : 0, ends ? -1 : undefined);
  return { type: 'sequence', items: [...(begins ? [] : [anything]), ...inner, ...(ends ? [] : [anything])] };
}
