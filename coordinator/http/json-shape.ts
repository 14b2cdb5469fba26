import { ApiError } from '../openai/api-error.js';

/** The limits of JSON whose cost is out of proportion to its length: `[[[[` or `{},{},` cost a hundred times what a text of the same length does. */

/** More than the token ids of five of the longest prompts. */
const SCALARS = 2 ** 20;
/** Enough for a chat of 4,096 messages with a tool call each. */
const STRINGS = 2 ** 16;
const CONTAINERS = 2 ** 15;
const DEPTH = 128;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
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
    if (this.escaped) this.escaped = false;
    else if (byte === BACKSLASH) this.escaped = true;
    else if (byte === QUOTE) this.quoted = false;
  }

  private takePlain(byte: number | undefined): void {
    if (byte === COMMA) this.commas++;
    else if (byte === QUOTE) {
      this.quoted = true;
      this.strings++;
    } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      check(++this.containers, CONTAINERS, 'arrays and objects');
      check(++this.depth, DEPTH, 'arrays and objects inside each other');
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) this.depth--;
  }
}

function check(count: number, limit: number, what: string): void {
  if (count <= limit) return;
  throw new ApiError(400, `body: must have at most ${limit} ${what}`, { code: 'json_too_complex' });
}
