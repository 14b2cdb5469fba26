import { CallReader, type CallReaderOptions } from './call-reader.js';
import { type ChannelOptions, ChannelReader } from './channel-reader.js';
import { type MessagePieces, shown } from './message-pieces.js';
import { ReasoningReader, type ReasoningReading } from './reasoning-reader.js';

/** Splits a text that grows into the parts of a message. */

export type MessageReaderOptions =
  | {
      readonly form: 'marked';
      /** Null if nothing in it is reasoning. */
      readonly reasoning: ReasoningReading | null;
      /** Null if nothing in it is a call. */
      readonly calls: CallReaderOptions | null;
    }
  | ({ readonly form: 'channels' } & ChannelOptions);

/** Reads the text of an answer while it grows: the model's reasoning, its calls of tools, and the text for the user. */
export interface MessageReader {
  /** Whether the answer has a call. */
  readonly called: boolean;
  /** Whether the answer has all it may have, so that more would be dropped. */
  readonly complete: boolean;
  /** Whether what comes next is reasoning. */
  readonly thinking: boolean;
  push(text: string): MessagePieces;
  /**
   * The text held back when the answer has ended.
   * @param cut whether something else than the model ended it
   */
  flush(cut: boolean): MessagePieces;
}

export function messageReader(options: MessageReaderOptions): MessageReader {
  return options.form === 'channels' ? new ChannelReader(options) : new MarkedReader(options);
}

/** Reads answers in which marks stand around reasoning and calls. */
class MarkedReader implements MessageReader {
  private readonly reasoning: ReasoningReader | null;
  private readonly calls: CallReader | null;

  constructor({ reasoning, calls }: Extract<MessageReaderOptions, { form: 'marked' }>) {
    this.reasoning = reasoning === null ? null : new ReasoningReader(reasoning);
    this.calls = calls === null ? null : new CallReader(calls);
  }

  get called(): boolean {
    return this.calls?.found ?? false;
  }

  get complete(): boolean {
    return this.calls?.complete ?? false;
  }

  get thinking(): boolean {
    return this.reasoning?.inside ?? false;
  }

  push(text: string): MessagePieces {
    const split = this.reasoning?.push(text) ?? { reasoning: '', text };
    if (this.calls === null) return shown({ ...split, calls: [] });
    return shown({ reasoning: split.reasoning, ...this.calls.push(split.text) });
  }

  flush(): MessagePieces {
    const split = this.reasoning?.flush() ?? { reasoning: '', text: '' };
    if (this.calls === null) return shown({ ...split, calls: [] });
    const { text, calls } = this.calls.push(split.text);
    return shown({ reasoning: split.reasoning, text: text + this.calls.flush(), calls });
  }
}
