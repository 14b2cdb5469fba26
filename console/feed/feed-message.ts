import type { FeedMessage } from '../../src/console/feed-messages.js';
import { ApiFailure } from '../session/api.js';

/**
 * The message in an event of the feed.
 * @throws ApiFailure if the coordinator ends the feed with an error, as it does when the reader's key is taken back
 */
export function readFeedMessage(data: string): FeedMessage {
  const message = JSON.parse(data) as FeedMessage | { readonly error: { readonly message: string } };
  if ('error' in message) throw new ApiFailure(0, message.error.message);
  return message;
}
