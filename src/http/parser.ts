import type { Socket } from 'node:net';

/**
 * Makes Node's HTTP parser pass over bytes that have already come in. A socket can be paused or closed between two reads only, and one read of
 * 64 KiB may hold thousands of requests or chunks. Node does not document these callbacks of the parser, so all code also works without them.
 */

interface WithParser {
  readonly parser?: Callbacks | null;
}

interface Callbacks {
  /** Is called for each request. */
  onIncoming: unknown;
  /** The callback for each chunk of a body has a number. */
  [callback: number]: unknown;
}

/** What `onIncoming` returns for a request after which another protocol begins. */
const ANOTHER_PROTOCOL = 2;
/** The name of the function for the chunks of bodies. */
const BODY_CALLBACK = 'parserOnBody';

/** Makes the parser stop at the next request. */
export function stopParsing(socket: Socket): void {
  const { parser } = socket as unknown as WithParser;
  if (parser) parser.onIncoming = () => ANOTHER_PROTOCOL;
}

/** Makes the parser drop all chunks of bodies that follow. The connection must be closed afterwards. */
export function dropBody(socket: Socket): void {
  const { parser } = socket as unknown as WithParser;
  if (!parser) return;
  for (const [key, callback] of Object.entries(parser)) {
    if (typeof callback !== 'function' || callback.name !== BODY_CALLBACK) continue;
    parser[Number(key)] = null;
    // Node uses the parser for another connection later.
    socket.once('close', () => {
      parser[Number(key)] = callback;
    });
  }
}
