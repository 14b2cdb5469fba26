/** What a child tells its parent over their channel. */
export type ChildMessage =
  /** It does its work from now on. `info` is for the parent to check. */
  | { readonly type: 'ready'; readonly info: unknown }
  /** It cannot start, and why, in words for people. It ends after this. */
  | { readonly type: 'failed'; readonly reason: string };

/** Checks what came over the channel; null if it is none of ours. */
export function readChildMessage(value: unknown): ChildMessage | null {
  if (typeof value !== 'object' || value === null || !('type' in value)) return null;
  if (value.type === 'ready') return { type: 'ready', info: 'info' in value ? value.info : null };
  if (value.type === 'failed' && 'reason' in value && typeof value.reason === 'string') {
    return { type: 'failed', reason: value.reason };
  }
  return null;
}
