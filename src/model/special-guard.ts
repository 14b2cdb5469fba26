import { InvalidRequest } from '../errors.js';
import { literalPattern } from '../literal-pattern.js';
import { isShadow, seen, shadowOf } from './shadow-chars.js';

/**
 * Keeps special tokens out of texts that clients wrote.
 *
 * Each special token has an anchor, one of its characters. `hide` replaces every anchor in a client's text by a shadow: a private-use character
 * that occurs in none of the texts, the same one in each request if the anchor is ASCII (`shadow-chars`). A special token is then found only where a chat template wrote it, even if the template changes
 * the text: trims it, cuts it, deletes parts of it, or joins it to another text. After special tokens have been found, `restore` puts the anchors
 * back, and the text is encoded as if no token were special.
 */

/** The substitute characters in the texts of one request. */
export interface Shadows {
  /** The text with shadows in place of anchors. */
  hide(text: string): string;
  /** The text with anchors in place of shadows. */
  restore(text: string): string;
}

/** Hides nothing. */
export const NO_SHADOWS: Shadows = { hide: (text) => text, restore: (text) => text };

const PRIVATE_FIRST = 0xe000;
const PRIVATE_LAST = 0xf8ff;
const PRIVATE = /[\uE000-\uF8FF]/g;
/** More literals of a template than this are not looked for in texts. */
const KEPT_LITERALS = 512;

export class SpecialGuard {
  private readonly anchors: readonly string[];
  private readonly search: RegExp | null;

  /**
   * @param specials the texts of the special tokens
   * @param kept texts that `hide` leaves as they are, unless they could become part of a special token: tokens that are not special, and the
   * literals of a chat template, for which it may search the texts
   */
  constructor(
    private readonly specials: readonly string[],
    private readonly kept: readonly string[],
  ) {
    const anchored = specials.flatMap((special) => anchorOf(special) ?? []);
    this.anchors = [...new Set(anchored.flatMap(({ char }) => [char, char.toLowerCase(), char.toUpperCase()]))];
    this.search = this.anchors.length === 0 ? null : this.searchFor(anchored);
  }

  /** A guard that also keeps these texts. */
  keeping(literals: readonly string[]): SpecialGuard {
    return new SpecialGuard(this.specials, [...this.kept, ...literals.slice(0, KEPT_LITERALS)]);
  }

  /**
   * The shadows for these texts of a client.
   * @throws InvalidRequest if the texts use so many private-use characters that too few are left
   */
  shadowsFor(texts: readonly string[], param: string): Shadows {
    const { search } = this;
    // A character that templates would take for a shadow is replaced too.
    const isPlain = (text: string) => seen(text) === text && !this.anchors.some((anchor) => text.includes(anchor));
    if (search === null || texts.every(isPlain)) return NO_SHADOWS;
    const shadows = this.shadowsBeside(texts);
    if (shadows === null) throw new InvalidRequest(`${param}: has too many different private-use characters`, param);
    const originals = new Map([...shadows].map(([original, shadow]) => [shadow, original]));
    return {
      hide: (text) =>
        text
          .replace(PRIVATE, (found) => shadows.get(found) ?? found)
          .replace(search, (found) => shadows.get(found) ?? found),
      restore: (text) => text.replace(PRIVATE, (found) => originals.get(found) ?? found),
    };
  }

  /**
   * The shadows of anchors, and of the private-use characters in the texts that would be taken for shadows. Null if too few private-use characters are
   * left.
   */
  private shadowsBeside(texts: readonly string[]): Map<string, string> | null {
    const used = privateChars(texts);
    const others = [...this.anchors.filter((anchor) => shadowOf(anchor) === null), ...[...used].filter(isShadow)];
    const free = freeChars(used, others.length);
    if (free === null) return null;
    const shadows = new Map(others.map((original, i) => [original, free[i]!]));
    for (const anchor of this.anchors) shadows.set(anchor, shadowOf(anchor) ?? shadows.get(anchor)!);
    return shadows;
  }

  /** Finds kept texts, longest first, and anchors. An anchor with a combining mark is another character, which is in no special token. */
  private searchFor(anchored: readonly Anchored[]): RegExp {
    const kept = [...new Set(this.kept)]
      .filter((text) => this.anchors.some((anchor) => text.includes(anchor)) && !couldJoin(text, anchored))
      .sort((a, b) => b.length - a.length);
    const anchors = `(?:${this.anchors.map(literalPattern).join('|')})(?!\\p{M})`;
    return new RegExp([...kept.map(literalPattern), anchors].join('|'), 'gu');
  }
}

interface Anchored {
  readonly special: string;
  readonly char: string;
  readonly index: number;
}

/**
 * The anchor of a special token: its first character that is neither blank, which templates trim, nor a letter with case, which they change;
 * else its first character that is not blank. Null for a token of blanks alone, which cannot be distinguished from text.
 */
function anchorOf(special: string): Anchored | null {
  const chars = [...special.matchAll(/\S/gu)];
  const first = chars.find(([char]) => char.toLowerCase() === char.toUpperCase()) ?? chars[0];
  return first === undefined ? null : { special, char: first[0], index: first.index };
}

/** Whether a special token could contain an anchor of `text`, with any text before and after it. */
function couldJoin(text: string, anchored: readonly Anchored[]): boolean {
  const lower = text.toLowerCase();
  return anchored.some(({ special, char, index }) => {
    const wanted = special.toLowerCase();
    for (let at = lower.indexOf(char.toLowerCase()); at >= 0; at = lower.indexOf(char.toLowerCase(), at + 1)) {
      const from = Math.max(0, at - index);
      const to = Math.min(lower.length, at - index + wanted.length);
      if (lower.slice(from, to) === wanted.slice(from - at + index, to - at + index)) return true;
    }
    return false;
  });
}

function privateChars(texts: readonly string[]): Set<string> {
  return new Set(texts.flatMap((text) => [...new Set(text.match(PRIVATE))]));
}

/** Private-use characters that are neither used nor shadows of ASCII; null if there are not enough. */
function freeChars(used: ReadonlySet<string>, count: number): string[] | null {
  const free: string[] = [];
  for (let code = PRIVATE_FIRST; code <= PRIVATE_LAST && free.length < count; code++) {
    const char = String.fromCharCode(code);
    if (!used.has(char) && !isShadow(char)) free.push(char);
  }
  return free.length < count ? null : free;
}
