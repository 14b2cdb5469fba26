import { InvalidRequest } from '../../errors.js';
import { ANY_CHAR, union } from './char-set.js';
import { parseRegex, type Regex } from './regex-syntax.js';

/** Reads context-free grammars as other servers take them: llama.cpp's GBNF, which xgrammar's EBNF is too, and rules in the form of Lark. */

export type GrammarNode =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'regex'; readonly regex: Regex }
  | { readonly type: 'rule'; readonly name: string }
  | { readonly type: 'sequence'; readonly items: readonly GrammarNode[] }
  | { readonly type: 'choice'; readonly options: readonly GrammarNode[] }
  | { readonly type: 'repeat'; readonly item: GrammarNode; readonly min: number; readonly max: number };

export interface Grammar {
  /** The rule of the whole text. */
  readonly root: string;
  readonly rules: ReadonlyMap<string, GrammarNode>;
}

/** Length of a grammar. */
const SOURCE_CHARS = 65_536;
const GROUP_DEPTH = 64;
/** Highest number of a repetition. */
const REPETITIONS = 4_096;

const BLANKS = /^(?:\s|#[^\n]*)+/;
const BLANKS_OF_LARK = /^(?:\s|\/\/[^\n]*|#[^\n]*)+/;
const TEXT = /^"((?:[^"\\\n]|\\[^\n])*)"/;
const NAME = /^[A-Za-z_][\w-]*/;
/** The head of a rule: its name, and in Lark how its tree looks, which makes no difference here. */
const HEAD = /^([A-Za-z_][\w-]*)\s*::=/;
const HEAD_OF_LARK = /^[?!]{0,2}(_*[A-Za-z]\w*)(?:\.-?\d+)?\s*:(?!:)/;
const CHAR_CLASS = /^\[(?:[^\]\\]|\\[\s\S])*\]/;
const REGEX_OF_LARK = /^\/((?:[^/\\\n]|\\[^\n])+)\/([a-z]*)/;

/** @throws InvalidRequest, without the name of a field, that says in which line what is wrong */
export function parseGrammar(source: string): Grammar {
  if (source.length > SOURCE_CHARS) throw new InvalidRequest(`must have at most ${SOURCE_CHARS} characters`);
  return new GrammarParser(source, /::=/.test(source) ? 'ebnf' : 'lark').parse();
}

class GrammarParser {
  private at = 0;
  private depth = 0;

  constructor(
    private readonly source: string,
    private readonly form: 'ebnf' | 'lark',
  ) {}

  parse(): Grammar {
    const rules = new Map<string, GrammarNode>();
    for (this.skipBlanks(); this.at < this.source.length; this.skipBlanks()) {
      if (this.source[this.at] === '%') throw this.wrong(`has ${this.found(/^%\w*/)}; write out what it stands for`);
      const name = this.match(this.form === 'ebnf' ? HEAD : HEAD_OF_LARK)?.[1];
      if (name === undefined) throw this.wrong("lacks the head of a rule: a name and '::=', or in Lark's form ':'");
      if (rules.has(name)) throw this.wrong(`defines the rule '${name}' twice`);
      rules.set(name, this.choice());
    }
    const root = this.form === 'ebnf' ? 'root' : 'start';
    if (!rules.has(root)) throw new InvalidRequest(`has no rule '${root}', with which a text begins`);
    return { root, rules };
  }

  private choice(): GrammarNode {
    const options = [this.sequence()];
    while (this.take('|')) options.push(this.sequence());
    return options.length === 1 ? options[0]! : { type: 'choice', options };
  }

  private sequence(): GrammarNode {
    const items: GrammarNode[] = [];
    for (this.skipBlanks(); !this.atEnd(); this.skipBlanks()) items.push(this.repeated());
    // The name of an alternative in a tree.
    if (this.form === 'lark' && this.take('->')) {
      this.skipBlanks();
      if (this.match(NAME) === null) throw this.wrong("lacks a name after '->'");
      this.skipBlanks();
    }
    return items.length === 1 ? items[0]! : { type: 'sequence', items };
  }

  /** Whether the alternative ends here. */
  private atEnd(): boolean {
    const rest = this.source.slice(this.at, this.at + 256);
    if (rest === '' || rest[0] === '|' || rest[0] === ')' || rest[0] === '%') return true;
    if (this.form === 'ebnf') return HEAD.test(rest);
    return rest[0] === ']' || rest.startsWith('->') || HEAD_OF_LARK.test(rest);
  }

  private repeated(): GrammarNode {
    const item = this.atom();
    const range = this.quantifier();
    if (range === null) return item;
    if (this.quantifier() !== null) throw this.wrong('repeats a repetition; put it into a group');
    return { type: 'repeat', item, ...range };
  }

  private quantifier(): { readonly min: number; readonly max: number } | null {
    // In Lark, a line may begin with ?.
    if (this.form === 'ebnf') this.match(/^\s+(?=[*+?{])/);
    if (this.take('*')) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.take('+')) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.take('?')) return { min: 0, max: 1 };
    const counted =
      this.form === 'ebnf'
        ? this.match(/^\{\s*(\d+)\s*(?:(,)\s*(\d*)\s*)?\}/)
        : this.match(/^\s*~\s*(\d+)(?:\s*(\.\.)\s*(\d+))?/);
    if (counted === null) return null;
    const [, from, to, last] = counted;
    const min = Number(from);
    const max = to === undefined ? min : last ? Number(last) : Number.POSITIVE_INFINITY;
    if (max < min) throw this.wrong(`repeats ${min} to ${max} times, which is never`);
    if (min > REPETITIONS || (max > REPETITIONS && max !== Number.POSITIVE_INFINITY))
      throw this.wrong(`repeats more than ${REPETITIONS} times`);
    return { min, max };
  }

  private atom(): GrammarNode {
    if (this.take('(')) return this.group(')');
    if (this.source[this.at] === '"') return this.text();
    if (this.form === 'lark') {
      if (this.take('[')) return { type: 'repeat', item: this.group(']'), min: 0, max: 1 };
      const regex = this.match(REGEX_OF_LARK);
      if (regex !== null) {
        if (!['', 'u'].includes(regex[2]!)) throw this.wrong(`has the flags '${regex[2]}'; only u can be honoured`);
        return this.regex(regex[1]!.replaceAll('\\/', '/'));
      }
    } else {
      const set = this.match(CHAR_CLASS);
      if (set !== null) return this.regex(set[0]);
      if (this.take('.')) return { type: 'regex', regex: { type: 'chars', set: ANY_CHAR } };
    }
    const name = this.match(NAME);
    if (name !== null) return { type: 'rule', name: name[0] };
    throw this.wrong(`has ${this.found(/^\S/)} where a text, a rule, a class of characters or a group must stand`);
  }

  private group(end: string): GrammarNode {
    if (++this.depth > GROUP_DEPTH) throw this.wrong(`has more than ${GROUP_DEPTH} groups in each other`);
    const inner = this.choice();
    this.depth--;
    if (!this.take(end)) throw this.wrong(`lacks a '${end}'`);
    return inner;
  }

  /** A text in quotes; in Lark, also one whose letters may be large or small, or the first of a range of characters. */
  private text(): GrammarNode {
    const text = this.quoted();
    if (this.form === 'ebnf') return { type: 'text', text };
    if (this.match(/^i\b/) !== null) {
      const sets = [...text].map((char) => union([char.toLowerCase(), char.toUpperCase()].map(rangeOf)));
      return { type: 'sequence', items: sets.map((set) => ({ type: 'regex', regex: { type: 'chars', set } })) };
    }
    if (this.match(/^\s*\.\.\s*/) === null) return { type: 'text', text };
    const [first, last] = [[...text], [...this.quoted()]];
    if (first.length !== 1 || last.length !== 1) throw this.wrong('has a range of texts that are no characters');
    const range = [first[0]!.codePointAt(0)!, last[0]!.codePointAt(0)!] as const;
    if (range[1] < range[0]) throw this.wrong('has a range that is none');
    return { type: 'regex', regex: { type: 'chars', set: [range] } };
  }

  private quoted(): string {
    const text = this.match(TEXT)?.[1];
    if (text === undefined) throw this.wrong("has a text without its end '\"'");
    return text.replaceAll(/\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)/gu, (_, spelled: string) => {
      if (spelled.length > 2) {
        const codePoint = Number.parseInt(spelled.slice(1), 16);
        if (codePoint > 0x10ffff) throw this.wrong('has a character over 10ffff');
        return String.fromCodePoint(codePoint);
      }
      if (/[a-zA-Z0-9]/.test(spelled) && !Object.hasOwn(CONTROLS, spelled))
        throw this.wrong(`has the escape \\${spelled}, which is not known`);
      return CONTROLS[spelled] ?? spelled;
    });
  }

  private regex(source: string): GrammarNode {
    try {
      return { type: 'regex', regex: parseRegex(source) };
    } catch (error) {
      if (error instanceof InvalidRequest) throw this.wrong(`'${source.slice(0, 64)}' ${error.message}`);
      throw error;
    }
  }

  private skipBlanks(): void {
    this.match(this.form === 'ebnf' ? BLANKS : BLANKS_OF_LARK);
  }

  private take(text: string): boolean {
    if (!this.source.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  /** Takes what stands here, if it has this form. */
  private match(form: RegExp): RegExpExecArray | null {
    const found = form.exec(this.source.slice(this.at));
    if (found !== null) this.at += found[0].length;
    return found;
  }

  private found(form: RegExp): string {
    const found = form.exec(this.source.slice(this.at, this.at + 64))?.[0];
    return found === undefined ? 'its end' : `'${found}'`;
  }

  private wrong(what: string): InvalidRequest {
    const line = this.source.slice(0, this.at).split('\n').length;
    return new InvalidRequest(`${what} (line ${line})`);
  }
}

const CONTROLS: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '0': '\0' };

function rangeOf(char: string): readonly [number, number] {
  return [char.codePointAt(0)!, char.codePointAt(0)!];
}
