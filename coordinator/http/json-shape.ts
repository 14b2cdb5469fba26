import { ApiError } from '../openai/api-error.js';

/** The limits on JSON that costs more than its length suggests: `[[[[` or `{},{},` cost a hundred times as much as text of the same length. */

/** More than the token ids of two of the longest prompts. */
const SCALARS = 2 ** 19;
/** Enough for a chat of 4,096 messages with a tool call each. */
const STRINGS = 2 ** 16;
const CONTAINERS = 2 ** 15;
const DEPTH = 128;
/** Of one object. More make a table of it, which costs ten times as much to fill and to list. */
const MEMBERS = 4_096;

/** A key that would become the object's prototype. Each of its characters may be an escape of six bytes. */
const FORBIDDEN_KEY = '__proto__';
const LONGEST_FORBIDDEN = 6 * FORBIDDEN_KEY.length;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Counts the parts of JSON text, which comes in pieces. Whether it is valid JSON is for the parser to say. */
export class JsonShape {
  private quoted = false;
  private escaped = false;
  private depth = 0;
  private strings = 0;
  private containers = 0;
  private commas = 0;
  /** For each array and object that is open, the members so far; -1 for an array. */
  private readonly members: number[] = [];
  /** The last string: its first bytes, and how many bytes it has. */
  private readonly text = Buffer.alloc(LONGEST_FORBIDDEN);
  private textBytes = 0;

  /** Throws a 400 at the first piece that goes beyond a limit. */
  take(utf8: Uint8Array): void {
    for (let at = 0; at < utf8.length; at++) {
      const byte = utf8[at];
      if (this.quoted) this.takeQuoted(byte);
      else this.takePlain(byte);
    }
    check(this.strings, STRINGS, 'strings and keys');
    check(this.commas, SCALARS, 'values');
  }

  private takeQuoted(byte: number | undefined): void {
    if (byte !== QUOTE || this.escaped) {
      if (this.textBytes < LONGEST_FORBIDDEN) this.text[this.textBytes] = byte ?? 0;
      this.textBytes++;
    }
    if (this.escaped) this.escaped = false;
    else if (byte === BACKSLASH) this.escaped = true;
    else if (byte === QUOTE) this.quoted = false;
  }

  private takePlain(byte: number | undefined): void {
    if (byte === COMMA) this.commas++;
    else if (byte === QUOTE) {
      this.quoted = true;
      this.textBytes = 0;
      this.strings++;
    } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      check(++this.containers, CONTAINERS, 'arrays and objects');
      check(++this.depth, DEPTH, 'arrays and objects inside each other');
      this.members.push(byte === OPEN_OBJECT ? 0 : -1);
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
      this.depth--;
      this.members.pop();
    } else if (byte === COLON) this.takeKey();
  }

  /** The last string was a key. */
  private takeKey(): void {
    const { members, text, textBytes } = this;
    const last = members.length - 1;
    if (last >= 0) check(++members[last]!, MEMBERS, 'members in one object');
    if (textBytes < FORBIDDEN_KEY.length || textBytes > LONGEST_FORBIDDEN) return;
    if (unescaped(text.toString('latin1', 0, textBytes)) !== FORBIDDEN_KEY) return;
    throw new ApiError(400, '__proto__: is not allowed as a key', { param: '__proto__', code: 'invalid_json' });
  }
}

/** The text of a string in JSON; the empty one if it is not valid. */
function unescaped(raw: string): string {
  if (!raw.includes('\\')) return raw;
  try {
    return JSON.parse(`"${raw}"`) as string;
  } catch {
    return '';
  }
}

function check(count: number, limit: number, what: string): void {
  if (count <= limit) return;
  throw new ApiError(400, `body: must have at most ${limit} ${what}`, { code: 'json_too_complex' });
}
