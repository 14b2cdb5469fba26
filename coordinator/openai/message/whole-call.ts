import type { CallPiece } from './message-pieces.js';

/** A complete call of a tool. */
export interface WholeCall {
  readonly id: string;
  readonly name: string;
  /** As JSON. */
  arguments: string;
}

/** Adds a piece to the calls of its message. */
export function addPiece(calls: WholeCall[], { index, id, name, arguments: piece }: CallPiece): void {
  const known = calls[index];
  if (known !== undefined) known.arguments += piece;
  else calls[index] = { id: id ?? '', name: name ?? '', arguments: piece };
}
