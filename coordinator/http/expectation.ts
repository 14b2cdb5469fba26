import type { IncomingMessage, ServerResponse } from 'node:http';

/** A client that sends `expect: 100-continue`: it sends the body of its request only when the server has accepted the head. */
export class Expectations {
  private readonly met = new WeakSet<IncomingMessage>();

  /** Lets the client send the body, if it waits for that. */
  meet(request: IncomingMessage, response: ServerResponse): void {
    if (!this.isOpen(request)) return;
    this.met.add(request);
    response.writeContinue();
  }

  /** Whether the client waits for word that it may send the body. Whatever comes next on the connection cannot be told from the body. */
  isOpen(request: IncomingMessage): boolean {
    return request.headers.expect?.toLowerCase() === '100-continue' && !this.met.has(request);
  }
}
