import type { Span, Tracer } from '../../trace/span.js';
import type { PeerIdentity } from '../wire/handshake.js';
import type { Answer, Reply } from './session.js';

/** An answer to a request for blocks that belongs to a trace. */

/** The request. */
export interface AskedBlocks {
  readonly type: 'fetch' | 'pin';
  readonly keys: readonly unknown[];
  readonly trace?: string | undefined;
}

/** The answer itself, or, if the request belongs to a trace, one that records what `answer` does. */
export function tracedAnswer(answer: Answer, request: AskedBlocks, peer: PeerIdentity, tracer?: Tracer): Answer {
  if (tracer === undefined || request.trace === undefined) return answer;
  const { type, keys, trace } = request;
  const attributes = { 'shoal.peer': peer.id, 'shoal.blocks': keys.length, 'shoal.way': WAYS[type] };
  return new TracedAnswer(answer, tracer.start('shoal.serve', trace, attributes, 'server'));
}

/** Through the socket, or out of shared memory. */
const WAYS = { fetch: 'socket', pin: 'shared memory' } as const;

class TracedAnswer implements Answer {
  /** Absent where the answer pins nothing. */
  readonly unpinned?: () => void;

  constructor(
    private readonly answer: Answer,
    private readonly span: Span,
  ) {
    if (answer.unpinned) this.unpinned = () => answer.unpinned!();
  }

  start(reply: Reply): void {
    const { answer, span } = this;
    answer.start({
      ...reply,
      finish: (message) => {
        span.set({ 'shoal.outcome': message.type });
        span.end();
        reply.finish(message);
      },
    });
  }

  awaits(): boolean {
    return this.answer.awaits();
  }

  cancel(): void {
    this.span.set({ 'shoal.cancelled': true });
    this.answer.cancel();
  }

  closed(): void {
    this.span.end();
    this.answer.closed();
  }
}
