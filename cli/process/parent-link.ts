import type { ChildMessage } from './link-messages.js';

/**
 * A child's channel to the process that started it. The system closes it when that process ends, in whatever way, so that no child
 * outlives its parent.
 */
export interface ParentLink {
  /** Resolves when the parent is gone. */
  readonly gone: Promise<void>;
  /** Resolves when the message is on its way, or can no longer be sent. */
  send(message: ChildMessage): Promise<void>;
}

/** The link of this process; null if nobody gave it a channel at its start. */
export function openParentLink(): ParentLink | null {
  if (!process.send) return null;
  const gone = new Promise<void>((resolve) => {
    process.once('disconnect', resolve);
    // The parent may have ended before anybody listened.
    if (!process.connected) resolve();
  });
  return {
    gone,
    send: (message) =>
      new Promise((resolve) => {
        if (process.connected) process.send?.(message, undefined, undefined, () => resolve());
        else resolve();
      }),
  };
}
