/** The messages between a child and its parent. */

/** A message of the parent to a coordinator: a worker's process was killed deliberately, not by a prompt. */
export interface ParentMessage {
  readonly type: 'killed';
  readonly worker: string;
  readonly incarnation: string;
}

/** A message of a child to its parent. */
export type ChildMessage =
  /** The child serves from now on. The parent checks `info`. */
  | { readonly type: 'ready'; readonly info: unknown }
  /** The child cannot start, and ends after this message. `reason` is a message. */
  | { readonly type: 'failed'; readonly reason: string };

/** Checks a value from the channel; null if it is not one of these messages. */
export function readChildMessage(value: unknown): ChildMessage | null {
  if (typeof value !== 'object' || value === null || !('type' in value)) return null;
  if (value.type === 'ready') return { type: 'ready', info: 'info' in value ? value.info : null };
  if (value.type === 'failed' && 'reason' in value && typeof value.reason === 'string') {
    return { type: 'failed', reason: value.reason };
  }
  return null;
}

/** As `readChildMessage`, for a message of the parent. */
export function readParentMessage(value: unknown): ParentMessage | null {
  if (typeof value !== 'object' || value === null || !('type' in value) || value.type !== 'killed') return null;
  if (!('worker' in value) || !('incarnation' in value)) return null;
  const { worker, incarnation } = value;
  return typeof worker === 'string' && typeof incarnation === 'string' ? { type: 'killed', worker, incarnation } : null;
}
