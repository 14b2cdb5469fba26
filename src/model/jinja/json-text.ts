import { Float, type JinjaValue } from './values.js';

/** Reads JSON as Python does, for templates that print it again. */

/** A string, a number, a word or a mark, after blanks. */
const TOKEN = /\s*("[^"\\]*(?:\\.[^"\\]*)*"|[-\d][-+.\deE]*|true|false|null|[[\]{},:])/sy;

/**
 * The value of a JSON text. Unlike `JSON.parse`, it keeps the order of fields whose names are integers, and tells 1.0 from 1.
 * @throws SyntaxError
 */
export function fromJsonText(text: string): JinjaValue {
  // Everything below may rely on the text being JSON.
  JSON.parse(text);
  return new JsonText(text).value();
}

class JsonText {
  private at = 0;
  private token = '';

  constructor(private readonly text: string) {
    this.advance();
  }

  value(): JinjaValue {
    const { token } = this;
    this.advance();
    if (token === '{') return this.fields();
    if (token === '[') return this.items();
    const plain = JSON.parse(token) as string | number | boolean | null;
    return typeof plain === 'number' && /[.eE]/.test(token) ? new Float(plain) : plain;
  }

  private fields(): JinjaValue {
    const fields = new Map<string, JinjaValue>();
    while (this.token !== '}') {
      const name = JSON.parse(this.token) as string;
      this.advance();
      this.advance();
      fields.set(name, this.value());
      if (this.token === ',') this.advance();
    }
    this.advance();
    return fields;
  }

  private items(): JinjaValue {
    const items: JinjaValue[] = [];
    while (this.token !== ']') {
      items.push(this.value());
      if (this.token === ',') this.advance();
    }
    this.advance();
    return items;
  }

  private advance(): void {
    TOKEN.lastIndex = this.at;
    this.token = TOKEN.exec(this.text)?.[1] ?? '';
    this.at = TOKEN.lastIndex;
  }
}
