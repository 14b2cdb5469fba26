/** The messages of a child to its parent. */
export type ChildMessage =
  /** The child serves from now on. The parent checks `info`. */
  | { readonly type: 'ready'; readonly info: unknown }
  /** The child cannot start, and ends after this message. `reason` is for people. */
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
