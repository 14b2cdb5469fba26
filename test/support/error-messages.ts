/** Finds the messages of errors in source text, and checks their style. */

/** A message with `{}` for each placeholder, and where it stands. */
export interface ErrorMessage {
  readonly line: number;
  readonly text: string;
}

/** Position of the message among the arguments, by class or function. */
export type MessagePositions = ReadonlyMap<string, number>;

/**
 * The messages of all `new Name(…)` and `name(…)` in `positions`. A message may be a string, a template, a concatenation, a conditional, or
 * a `const` of one of these; any other message is skipped, because its text is not in the source.
 */
export function errorMessages(source: string, positions: MessagePositions): ErrorMessage[] {
  const tokens = tokenize(source, 0, false).tokens;
  return tokens.flatMap((token, i) => {
    const position = positions.get(token.text);
    if (token.kind !== 'word' || position === undefined || tokens[i + 1]?.text !== '(') return [];
    if (['function', 'class', '.'].includes(tokens[i - 1]?.text ?? '')) return [];
    const message = split(tokens.slice(i + 2, closing(tokens, i + 1)), ',')[position] ?? [];
    const line = source.slice(0, token.at).split('\n').length;
    return textsOf(message, tokens.slice(0, i)).map((text) => ({ line, text }));
  });
}

/** What is wrong with the style of a message; empty if nothing is. */
export function styleFaults(text: string): string[] {
  const faults: [string, boolean][] = [
    ['starts with a capital', /^[A-Z]/.test(text) && !NAME.test(text)],
    ['ends with a period', /\.\s*$/.test(text)],
    ['has two sentences', /[.?]\s+[A-Z]/.test(text)],
    ['has an exclamation mark', text.includes('!')],
    [`is longer than ${MESSAGE_CHARS} characters`, text.replaceAll('{}', '').length > MESSAGE_CHARS],
    ['does not say "must be ..., got ..."', OTHER_ORDERS.some((order) => order.test(text))],
    ...BANNED.map(([name, pattern]): [string, boolean] => [`says "${name}"`, pattern.test(text)]),
  ];
  return faults.filter(([, wrong]) => wrong).map(([fault]) => fault);
}

const MESSAGE_CHARS = 200;

/** A first word that keeps its capital: it has another capital, a digit or an underscore (NATS, JetStream), or is a proper name. */
const NAME = /^(?:[A-Z]\w*[A-Z0-9_/]|(?:Debian|Docker|Linux|Node|Unix|Vulkan)\b)/;

/** A value that is not allowed, before what is, or after it in a sentence of its own: a message says `must be ..., got ...`. */
const OTHER_ORDERS = [
  /(?:^|: )(?:is|are|has|have) (?:no|\{\})[^;]*; (?:it )?must /,
  /\bmust [^;]*[;,] (?:is|are|has|have) \{\}/,
  /\bmust [^;]*; got /,
];

/** Phrases that read as if translated. */
const BANNED: readonly [string, RegExp][] = [
  ['is no', /(?<!\bthere )\bis no (?!longer\b)/i],
  ['what is', /\bwhat is\b/i],
  ['who', /\bwho\b/i],
  ['need be', /\bneed be\b/i],
  ['soever', /soever\b/i],
  ['anew', /\banew\b/i],
];

interface Token {
  /** `text` is the content of a string or template, `{}` for each placeholder of a template. */
  readonly kind: 'word' | 'string' | 'other';
  readonly text: string;
  readonly at: number;
}

/** The texts that a message can have; empty if they are not in the source. `before`: the tokens in front of it, for constants. */
function textsOf(message: readonly Token[], before: readonly Token[]): string[] {
  const [condition, branches] = split(message, '?', 2);
  if (condition !== undefined && branches !== undefined) {
    return split(branches, ':', 2).flatMap((branch) => textsOf(branch, before));
  }
  const parts = split(message, '+');
  const [only] = message;
  if (message.length === 1 && only!.kind === 'word') return textsOf(...constant(only!.text, before));
  if (!parts.some(isText)) return [];
  return [parts.map((part) => (isText(part) ? part[0]!.text : '{}')).join('')];
}

function isText(part: readonly Token[]): boolean {
  return part.length === 1 && part[0]!.kind === 'string';
}

/** The value of the last `const name = …;` among `before`, and the tokens in front of it; both empty if there is none. */
function constant(name: string, before: readonly Token[]): [Token[], Token[]] {
  const at = before.findLastIndex(
    ({ text }, i) => text === 'const' && before[i + 1]?.text === name && before[i + 2]?.text === '=',
  );
  if (at === -1) return [[], []];
  return [split(before.slice(at + 3), ';', 2)[0]!, before.slice(0, at)];
}

/** Splits tokens at separators outside of brackets, into at most `limit` parts. */
function split(tokens: readonly Token[], separator: string, limit = Number.POSITIVE_INFINITY): Token[][] {
  const parts: Token[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    if (token.kind === 'other' && '([{'.includes(token.text)) depth++;
    if (token.kind === 'other' && ')]}'.includes(token.text)) depth--;
    const separates = token.kind === 'other' && token.text === separator && depth === 0 && parts.length < limit;
    if (separates) parts.push([]);
    else parts.at(-1)!.push(token);
  }
  return parts.at(-1)!.length === 0 ? parts.slice(0, -1) : parts;
}

/** Index of the bracket that closes the one at `open`. */
function closing(tokens: readonly Token[], open: number): number {
  let depth = 0;
  for (let i = open; i < tokens.length; i++) {
    if (tokens[i]!.kind !== 'other') continue;
    if ('([{'.includes(tokens[i]!.text)) depth++;
    if (')]}'.includes(tokens[i]!.text) && --depth === 0) return i;
  }
  return tokens.length;
}

const SPACE_OR_COMMENT = /\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\//y;
const WORD = /[\w$]+/y;
const QUOTED = /'((?:[^'\\\n]|\\[\s\S])*)'|"((?:[^"\\\n]|\\[\s\S])*)"/y;
const REGEX = /\/(?![*/])(?:[^\\/[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/\w*/y;
const OTHER = /\?\?=?|\?\.(?!\d)|=>|[\s\S]/y;

/** The tokens of TypeScript from `start` to the end, or to the brace that closes a placeholder. `end` is behind the last one. */
function tokenize(source: string, start: number, inPlaceholder: boolean): { tokens: Token[]; end: number } {
  const tokens: Token[] = [];
  let at = start;
  let depth = 0;
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    return pattern.exec(source);
  };
  while (at < source.length) {
    const space = match(SPACE_OR_COMMENT);
    if (space) {
      at += space[0].length;
      continue;
    }
    if (source[at] === '`') {
      const { text, end } = readTemplate(source, at + 1);
      tokens.push({ kind: 'string', text, at });
      at = end;
      continue;
    }
    const quoted = match(QUOTED);
    const word = match(WORD);
    const regex = startsValue(tokens.at(-1)) ? match(REGEX) : null;
    const [found] = quoted ?? word ?? regex ?? match(OTHER)!;
    if (found === '{') depth++;
    if (found === '}' && depth-- === 0 && inPlaceholder) return { tokens, end: at + 1 };
    const text = quoted ? unescaped(quoted[1] ?? quoted[2]!) : found;
    tokens.push({ kind: quoted ? 'string' : word ? 'word' : 'other', text, at });
    at += found.length;
  }
  return { tokens, end: at };
}

/** Whether a value can follow the token, so that a slash there begins a regular expression. */
function startsValue(previous: Token | undefined): boolean {
  if (previous === undefined) return true;
  if (previous.kind === 'word') return /^(?:return|typeof|case|in|of|throw|yield|await)$/.test(previous.text);
  return previous.kind === 'other' && !')]}'.includes(previous.text);
}

/** A template from behind its opening backtick, with `{}` for each placeholder. `end` is behind the closing backtick. */
function readTemplate(source: string, start: number): { text: string; end: number } {
  let text = '';
  let at = start;
  while (at < source.length && source[at] !== '`') {
    if (source.startsWith('${', at)) {
      text += '{}';
      at = tokenize(source, at + 2, true).end;
    } else {
      const length = source[at] === '\\' ? 2 : 1;
      text += source.slice(at, at + length);
      at += length;
    }
  }
  return { text: unescaped(text), end: at + 1 };
}

function unescaped(text: string): string {
  return text.replace(/\\([\s\S])/g, (_, char: string) => (char === 'n' ? '\n' : char));
}
