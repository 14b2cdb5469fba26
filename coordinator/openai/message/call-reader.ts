import type { ToolFormat } from '../../../src/model/tool-format.js';
import { openingOf } from './call-openings.js';
import type { CallText } from './call-text.js';
import { heldEnd } from './held-end.js';
import type { CallPiece } from './message-pieces.js';

/** Finds calls of tools in a text that grows. */

export interface CallReaderOptions {
  readonly format: ToolFormat;
  /** Whether the answer must be calls, and so begins with one. */
  readonly enforced: boolean;
  readonly most: 'one' | 'many';
  /** The tools of the request. */
  readonly names: ReadonlySet<string>;
  readonly newId: () => string;
}

/** The texts that precede a call, beside the marks of a family. */
const SEPARATORS = ['[', ',', ';'];

interface Found {
  text: string;
  readonly calls: CallPiece[];
}

/** Finds the calls in the text of an answer while it grows. Everything else stays text. */
export class CallReader {
  /** Whether the answer has all the calls it may have. */
  complete = false;
  private mode: 'text' | 'gap' | 'call' | 'rest';
  /** Text that is not yet known to be text, or to stand before a call. */
  private buffer = '';
  /** The characters skipped since the last text or call. */
  private passed = '';
  private call: CallText | null = null;
  private calls = 0;
  /** Whether the first piece of the present call was given. */
  private given = false;
  /** The texts that end a call. */
  private readonly closers: readonly string[];

  constructor(private readonly options: CallReaderOptions) {
    const { fillers, marks } = options.format;
    this.closers = fillers.filter((text) => !marks.includes(text) && !SEPARATORS.includes(text));
    this.mode = options.enforced || options.format.bare ? 'gap' : 'text';
  }

  /** Whether the answer has a call. */
  get found(): boolean {
    return this.calls > 0;
  }

  push(text: string): Found {
    const found: Found = { text: '', calls: [] };
    this.buffer += text;
    while (this.buffer !== '' && !this.complete && this.advance(found));
    return found;
  }

  /** The text that was held back when the answer has ended. */
  flush(): string {
    const held = this.held();
    this.buffer = '';
    this.passed = '';
    return held;
  }

  private held(): string {
    const { mode, passed, buffer, call } = this;
    // An answer that must be calls has no text: what was held back is the beginning of a call, or what stands between calls.
    if (this.options.enforced && mode !== 'text' && mode !== 'rest') return '';
    if (this.complete || (mode === 'call' && this.given)) return '';
    if (mode === 'call') return passed + call!.raw;
    return mode === 'gap' && this.found && this.mayEnd() ? '' : passed + buffer;
  }

  /** Whether what follows a call is but the end of the calls, perhaps cut, or a separator. */
  private mayEnd(): boolean {
    const { marks, ends } = this.options.format;
    const isEnd = [...this.closers, ...SEPARATORS, ...ends].some((text) => text.startsWith(this.buffer));
    return isEnd && !marks.some((mark) => this.passed.includes(mark));
  }

  /** Continues as far as one mode allows. Returns whether there may be more to do. */
  private advance(found: Found): boolean {
    switch (this.mode) {
      case 'text':
        return this.readText(found);
      case 'gap':
        return this.readGap(found);
      case 'call':
        return this.readCall(found);
      case 'rest':
        found.text += this.buffer;
        this.buffer = '';
        return false;
    }
  }

  private readText(found: Found): boolean {
    const { marks } = this.options.format;
    const at = Math.min(...marks.map((mark) => this.buffer.indexOf(mark)).filter((index) => index >= 0));
    if (at === Number.POSITIVE_INFINITY) {
      const held = heldEnd(this.buffer, marks);
      found.text += this.buffer.slice(0, this.buffer.length - held);
      this.buffer = held === 0 ? '' : this.buffer.slice(-held);
      return false;
    }
    const before = this.buffer.slice(0, at);
    const text = before.trimEnd();
    found.text += text;
    this.passed = before.slice(text.length);
    this.buffer = this.buffer.slice(at);
    this.mode = 'gap';
    return true;
  }

  private readGap(found: Found): boolean {
    const { fillers, ends } = this.options.format;
    // An answer that was cut within a character of a mark or of a name ends so.
    if (this.options.enforced) this.buffer = this.buffer.replace(/\uFFFD+$/, '');
    const blanks = this.buffer.length - this.buffer.trimStart().length;
    if (blanks > 0) return this.pass(blanks);
    if (this.found && ends.some((end) => this.buffer.startsWith(end))) {
      this.complete = true;
      return false;
    }
    const opening = openingOf(this.buffer, this.passed, this.options.format, this.options.names);
    if (opening !== null && opening !== 'unfinished') {
      this.pass(opening.length);
      return this.begin(opening.call);
    }
    const filler = [...fillers, ...ends].find((text) => this.buffer.startsWith(text));
    const isWhole = filler !== undefined && !fillers.some((text) => text !== filler && text.startsWith(this.buffer));
    if (isWhole) return this.pass(filler.length);
    if (opening === 'unfinished' || this.mayBeFiller(this.buffer)) return false;
    found.text += this.passed;
    this.passed = '';
    this.mode = 'text';
    return true;
  }

  /** Whether a text may become one that stands between calls. */
  private mayBeFiller(text: string): boolean {
    const { fillers, ends } = this.options.format;
    return [...fillers, ...ends].some((filler) => filler.startsWith(text));
  }

  private pass(length: number): true {
    const passed = this.buffer.slice(0, length);
    const endsCall = this.found && this.passed === '' && (passed.trim() === '' || this.closers.includes(passed));
    if (!endsCall) this.passed += passed;
    this.buffer = this.buffer.slice(length);
    return true;
  }

  private begin(call: CallText): true {
    this.call = call;
    this.given = false;
    this.mode = 'call';
    return true;
  }

  private readCall(found: Found): boolean {
    const call = this.call!;
    let read = 0;
    let known = true;
    // Whether a broken text counts as a call must not depend on where the answer was cut.
    while (read < this.buffer.length && known && !call.done && !call.broken) {
      call.push(this.buffer[read++]!);
      if (!this.given && call.begun && !call.broken) known = this.beginCall(call.name!, found);
    }
    this.buffer = this.buffer.slice(read);
    if (!known || call.broken) return this.giveUp(found);
    this.give(found);
    if (!call.done) return false;
    this.passed = '';
    this.mode = 'gap';
    this.complete = this.options.most === 'one';
    return true;
  }

  /** Gives the name of a call. False if it is none of a tool. */
  private beginCall(name: string, found: Found): boolean {
    if (!this.isKnown(name)) return false;
    this.given = true;
    found.calls.push({ index: this.calls++, id: this.options.newId(), name, arguments: '' });
    return true;
  }

  /** Any object may stand at the beginning of an answer; after a mark, the client checks the name. */
  private isKnown(name: string): boolean {
    const { format, names } = this.options;
    return !format.bare || names.has(name);
  }

  private give(found: Found): void {
    const piece = this.given ? this.call!.takeArguments() : '';
    if (piece !== '') found.calls.push({ index: this.calls - 1, arguments: piece });
  }

  /** The text was not a call. */
  private giveUp(found: Found): boolean {
    const { raw, rest } = this.call!;
    // Of a call that was given with whole arguments, only the end is text.
    const isCall = this.given && rest !== raw;
    if (this.given) this.give(found);
    if (this.given && !isCall) found.calls.push({ index: this.calls - 1, arguments: '', isNone: true });
    found.text += isCall ? rest : this.passed + raw;
    this.passed = '';
    this.mode = this.options.format.bare ? 'rest' : 'text';
    return true;
  }
}
