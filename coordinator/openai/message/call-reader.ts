import type { ToolFormat } from '../../../src/model/tool-format.js';
import { CallObject } from './call-object.js';
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

/** A name before the arguments, and how such a name may begin: the newer form of Mistral's models. */
const NAMED = /^([\w.-]+)(?:\[CALL_ID\]\w+)?(?:\[ARGS\])?(?=\{)/;
const BEGINS_NAMED = /^[\w.-]+(?:\[[A-Z_]*\]?\w*){0,2}$/;

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
  private call = new CallObject();
  private calls = 0;
  /** Whether the first piece of the present call was given. */
  private given = false;

  constructor(private readonly options: CallReaderOptions) {
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
    const { mode, passed, buffer, call } = this;
    this.buffer = '';
    this.passed = '';
    if (this.complete || (mode === 'call' && this.given)) return '';
    if (mode === 'call') return passed + call.raw;
    return mode === 'gap' && this.found ? '' : passed + buffer;
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
    const { fillers, parser } = this.options.format;
    const blanks = this.buffer.length - this.buffer.trimStart().length;
    if (blanks > 0) return this.pass(blanks);
    if (this.buffer.startsWith('{')) return this.begin(new CallObject());
    const filler = fillers.find((text) => this.buffer.startsWith(text));
    if (filler !== undefined && !(filler === '[' && '[TOOL_CALLS]'.startsWith(this.buffer)))
      return this.pass(filler.length);
    if (fillers.some((text) => text.startsWith(this.buffer))) return false;
    if (parser === 'mistral' && this.passed.endsWith('[TOOL_CALLS]')) {
      const named = NAMED.exec(this.buffer);
      if (named !== null) {
        this.pass(named[0].length);
        return this.begin(CallObject.named(named[1]!));
      }
      if (BEGINS_NAMED.test(this.buffer)) return false;
    }
    found.text += this.found ? '' : this.passed;
    this.passed = '';
    this.mode = 'text';
    return true;
  }

  private pass(length: number): true {
    this.passed += this.buffer.slice(0, length);
    this.buffer = this.buffer.slice(length);
    return true;
  }

  private begin(call: CallObject): true {
    this.call = call;
    this.given = false;
    this.mode = 'call';
    return true;
  }

  private readCall(found: Found): boolean {
    const { call } = this;
    let read = 0;
    while (read < this.buffer.length && !call.done && !call.broken) call.push(this.buffer[read++]!);
    this.buffer = this.buffer.slice(read);
    if (call.broken || (call.begun && !this.given && !this.isKnown(call.name!))) return this.giveUp(found);
    this.give(found);
    if (!call.done) return false;
    this.passed = '';
    this.mode = 'gap';
    this.complete = this.options.most === 'one';
    return true;
  }

  /** Any object may stand at the beginning of an answer; after a mark, the client checks the name. */
  private isKnown(name: string): boolean {
    const { format, names } = this.options;
    return !format.bare || names.has(name);
  }

  private give(found: Found): void {
    const { call } = this;
    if (!call.begun) return;
    const piece = call.takeArguments();
    if (!this.given) {
      this.given = true;
      found.calls.push({ index: this.calls++, id: this.options.newId(), name: call.name!, arguments: '' });
    }
    if (piece !== '') found.calls.push({ index: this.calls - 1, arguments: piece });
  }

  /** The text was not a call. */
  private giveUp(found: Found): boolean {
    if (!this.given) found.text += this.passed + this.call.raw;
    this.passed = '';
    this.mode = this.options.format.bare ? 'rest' : 'text';
    return true;
  }
}
