import { SteadyAsking } from './chaos/steady-asking.js';
import { ChatLog } from './chat/chat-log.js';
import type { FeedConnection } from './feed/connection.js';
import type { Api } from './session/api.js';

/** The work that a reader has started in this tab: it outlives the page that shows it, and ends with the key. */
export class TabWork {
  readonly log: ChatLog;
  readonly asking: SteadyAsking;

  constructor(api: Api, feed: FeedConnection) {
    this.log = new ChatLog(api, feed.model);
    this.asking = new SteadyAsking(api, feed);
  }

  /** Stops all that runs. */
  stop(): void {
    this.log.stop();
    this.asking.stop();
  }

  /** The key is no longer in use. */
  end(): void {
    this.stop();
    this.log.end();
  }
}
