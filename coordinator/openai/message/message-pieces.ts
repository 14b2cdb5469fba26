import { withoutTokenMarks } from './token-mark.js';

/** The pieces of a message that grows. */

/** A piece of a call: the first one of a call has its id and name. */
export interface CallPiece {
  /** Of the call in its message. */
  readonly index: number;
  readonly id?: string;
  readonly name?: string;
  /** The next characters of the JSON of the arguments. */
  readonly arguments: string;
  /** Whether the call turned out to be none: its text is in the text of the message. The last piece of the call, without characters. */
  readonly isNone?: true;
}

/** The next pieces of a message, by kind. */
export interface MessagePieces {
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly CallPiece[];
}

/** Pieces as users see them, without what distinguishes special tokens from text. */
export function shown({ text, reasoning, calls }: MessagePieces): MessagePieces {
  return {
    text: withoutTokenMarks(text),
    reasoning: withoutTokenMarks(reasoning),
    calls: calls.map((piece) => ({ ...piece, arguments: withoutTokenMarks(piece.arguments) })),
  };
}

/** Joins pieces of one message that follow each other. */
export class JoinedPieces implements MessagePieces {
  text = '';
  reasoning = '';
  readonly calls: CallPiece[] = [];
  /** The same in the order in which they came; in each, reasoning comes before text, and text before calls. */
  readonly inOrder: MessagePieces[] = [];

  add(pieces: MessagePieces): void {
    if (isEmpty(pieces)) return;
    this.text += pieces.text;
    this.reasoning += pieces.reasoning;
    for (const call of pieces.calls) this.calls.push(call);
    const last = this.inOrder.at(-1);
    if (last === undefined || !mayFollow(pieces, last)) this.inOrder.push(pieces);
    else this.inOrder[this.inOrder.length - 1] = joined(last, pieces);
  }
}

function isEmpty({ text, reasoning, calls }: MessagePieces): boolean {
  return text === '' && reasoning === '' && calls.length === 0;
}

/** Whether nothing in `next` stands before what comes after it in `last`. */
function mayFollow(next: MessagePieces, last: MessagePieces): boolean {
  if (last.calls.length > 0) return next.reasoning === '' && next.text === '';
  return last.text === '' || next.reasoning === '';
}

function joined(a: MessagePieces, b: MessagePieces): MessagePieces {
  return { text: a.text + b.text, reasoning: a.reasoning + b.reasoning, calls: [...a.calls, ...b.calls] };
}
