import type { ReasoningMarks } from '../../../src/model/reasoning-format.js';
import { heldEnd } from './held-end.js';

/** Tells a model's reasoning from its answer. */

export interface ReasoningReading {
  /** Where the answer begins: inside if the prompt has begun the reasoning. */
  readonly begins: 'before' | 'inside';
  readonly marks: ReasoningMarks;
}

interface Split {
  reasoning: string;
  text: string;
}

/** Splits the text of an answer that grows into the model's reasoning, between two marks at its beginning, and the rest. */
export class ReasoningReader {
  private buffer = '';

  private mode: 'before' | 'opening' | 'inside' | 'gap' | 'after';

  private readonly marks: ReasoningMarks;

  constructor({ begins, marks }: ReasoningReading) {
    this.mode = begins === 'inside' ? 'opening' : 'before';
    this.marks = marks;
  }

  /** Whether what comes next is reasoning. */
  get inside(): boolean {
    return this.mode === 'opening' || this.mode === 'inside';
  }

  push(text: string): Split {
    const split = { reasoning: '', text: '' };
    this.buffer += text;
    while (this.buffer !== '' && this.advance(split));
    return split;
  }

  /** The text held back when the answer has ended. */
  flush(): Split {
    const { buffer, mode } = this;
    this.buffer = '';
    return mode === 'inside' ? { reasoning: buffer, text: '' } : { reasoning: '', text: mode === 'gap' ? '' : buffer };
  }

  private advance(split: Split): boolean {
    switch (this.mode) {
      case 'before':
        return this.readBefore();
      case 'inside':
        return this.readInside(split);
      case 'opening':
        return this.skipBlanks('inside');
      case 'gap':
        return this.skipBlanks('after');
      case 'after':
        split.text += this.buffer;
        this.buffer = '';
        return false;
    }
  }

  private skipBlanks(next: 'inside' | 'after'): boolean {
    this.buffer = this.buffer.trimStart();
    if (this.buffer !== '') this.mode = next;
    return this.buffer !== '';
  }

  private readBefore(): boolean {
    const { begin } = this.marks;
    const start = this.buffer.trimStart();
    if (start.startsWith(begin)) {
      this.buffer = start.slice(begin.length);
      this.mode = 'opening';
      return true;
    }
    if (begin.startsWith(start)) return false;
    this.mode = 'after';
    return true;
  }

  private readInside(split: Split): boolean {
    const { end } = this.marks;
    const at = this.buffer.indexOf(end);
    if (at >= 0) {
      split.reasoning += this.buffer.slice(0, at).trimEnd();
      this.buffer = this.buffer.slice(at + end.length);
      this.mode = 'gap';
      return true;
    }
    const held = heldEnd(this.buffer, [end]);
    split.reasoning += this.buffer.slice(0, this.buffer.length - held);
    this.buffer = held === 0 ? '' : this.buffer.slice(-held);
    return false;
  }
}
