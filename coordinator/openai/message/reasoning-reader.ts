import { heldEnd } from './held-end.js';

/** Tells a model's reasoning from its answer. */

export const REASONING_MARKS = { begin: '<think>', end: '</think>' } as const;

interface Split {
  reasoning: string;
  text: string;
}

/** Splits the text of an answer that grows into the model's reasoning, `<think>…</think>` at its beginning, and the rest. */
export class ReasoningReader {
  private buffer = '';

  private mode: 'before' | 'opening' | 'inside' | 'gap' | 'after';

  /** @param begins where the text begins: within the reasoning if the prompt has begun it */
  constructor(begins: 'before' | 'inside') {
    this.mode = begins === 'inside' ? 'opening' : 'before';
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
    const { begin } = REASONING_MARKS;
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
    const { end } = REASONING_MARKS;
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
