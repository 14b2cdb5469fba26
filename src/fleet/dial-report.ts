import type { ShoalError } from '../errors.js';
import type { Log } from '../log.js';

/** The log line for a member that cannot be dialled. */

/** Failures in a row before it is logged: a member that has ended is no member any more by then. */
const REPORTED_AFTER = 6;

interface DialledNode {
  readonly node: string;
  readonly incarnation: string;
}

/** Logs once that a member cannot be dialled, until it could be. For `PeerCallLinks`. */
export function dialReport(log: Log) {
  return (
    { node, incarnation }: DialledNode,
    failure: { readonly attempts: number; readonly reason: ShoalError },
  ): void => {
    if (failure.attempts !== REPORTED_AFTER) return;
    log.warn(
      { peer: node, peerIncarnation: incarnation, err: failure.reason },
      'cannot open a connection for calls, which go over NATS until one opens; check that the peer port or the socket of the member can be reached from here',
    );
  };
}
