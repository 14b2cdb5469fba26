import type { CallPiece } from './message-pieces.js';

/** A complete call of a tool. */
export interface WholeCall {
  readonly id: string;
  readonly name: string;
  /** As JSON. */
  arguments: string;
  /** Whether it turned out to be none, and is text. */
  isNone?: boolean;
}

/** Adds a piece to the calls of its message. */
export function addPiece(calls: WholeCall[], { index, id, name, arguments: piece, isNone }: CallPiece): void {
  const known = calls[index];
  if (known !== undefined && isNone) known.isNone = true;
  else if (known !== undefined) known.arguments += piece;
  else calls[index] = { id: id ?? '', name: name ?? '', arguments: piece };
}

/** The arguments of a call; null if the answer ended within them, or if they are no object: then nobody can make the call. */
export function argumentsOf(json: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
