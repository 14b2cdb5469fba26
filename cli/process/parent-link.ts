import { type ChildMessage, type ParentMessage, readParentMessage } from './link-messages.js';

/**
 * A child's channel to its parent process. The system closes the channel when the parent ends in any way, so that no child outlives
 * its parent.
 */
export interface ParentLink {
  /** Resolves when the parent is gone. */
  readonly gone: Promise<void>;
  /** Resolves when the message has been sent, or can no longer be sent. */
  send(message: ChildMessage): Promise<void>;
  listen(listener: (message: ParentMessage) => void): void;
}

/** The link of this process; null if it was started without a channel. */
export function openParentLink(): ParentLink | null {
  if (!process.send) return null;
  const gone = new Promise<void>((resolve) => {
    process.once('disconnect', resolve);
    // The parent may have ended before this listener was attached.
    if (!process.connected) resolve();
  });
  return {
    gone,
    send: (message) =>
      new Promise((resolve) => {
        if (process.connected) process.send?.(message, undefined, undefined, () => resolve());
        else resolve();
      }),
    listen: (listener) => {
      process.on('message', (value) => {
        const message = readParentMessage(value);
        if (message) listener(message);
      });
    },
  };
}
