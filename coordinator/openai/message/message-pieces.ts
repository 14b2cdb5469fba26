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

  add({ text, reasoning, calls }: MessagePieces): void {
    this.text += text;
    this.reasoning += reasoning;
    for (const call of calls) this.calls.push(call);
  }
}
