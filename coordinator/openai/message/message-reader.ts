import { CallReader, type CallReaderOptions } from './call-reader.js';
import type { MessagePieces } from './message-pieces.js';
import { ReasoningReader } from './reasoning-reader.js';

/** Splits a text that grows into the parts of a message. */

export interface MessageReaderOptions {
  /** Where the answer begins; null if nothing in it is reasoning. */
  readonly reasoning: 'before' | 'inside' | null;
  /** Null if nothing in it is a call. */
  readonly calls: CallReaderOptions | null;
}

/** Reads the text of an answer while it grows: the model's reasoning, its calls of tools, and the text for the user. */
export class MessageReader {
  private readonly reasoning: ReasoningReader | null;
  private readonly calls: CallReader | null;

  constructor({ reasoning, calls }: MessageReaderOptions) {
    this.reasoning = reasoning === null ? null : new ReasoningReader(reasoning);
    this.calls = calls === null ? null : new CallReader(calls);
  }

  /** Whether the answer has a call. */
  get called(): boolean {
    return this.calls?.found ?? false;
  }

  /** Whether the answer has all it may have, so that more would be dropped. */
  get complete(): boolean {
    return this.calls?.complete ?? false;
  }

  push(text: string): MessagePieces {
    const split = this.reasoning?.push(text) ?? { reasoning: '', text };
    if (this.calls === null) return { ...split, calls: [] };
    return { reasoning: split.reasoning, ...this.calls.push(split.text) };
  }

  /** The text held back when the answer has ended. */
  flush(): MessagePieces {
    const split = this.reasoning?.flush() ?? { reasoning: '', text: '' };
    if (this.calls === null) return { ...split, calls: [] };
    const { text, calls } = this.calls.push(split.text);
    return { reasoning: split.reasoning, text: text + this.calls.flush(), calls };
  }
}
