import type { PeerAddress } from '../../core/member.js';
import { type Endpoint, endpointsOf } from './socket.js';

/**
 * Which endpoint of a peer is dialled: the best one, and after each attempt that came to nothing the next. A socket's path may lead to a process that
 * is no member, or to none, while the peer can be reached over TCP.
 */

/** Limit on the peers whose failures are remembered. */
const PEERS = 4_096;

export class EndpointTurns {
  /** Failures in a row, by peer. */
  private readonly failures = new Map<string, number>();

  constructor(private readonly ownHostId: string) {}

  /** @throws Unavailable if this host has no way to the address */
  next(peer: string, address: PeerAddress): Endpoint {
    const endpoints = endpointsOf(address, this.ownHostId);
    return endpoints[this.failed(peer) % endpoints.length]!;
  }

  /** How often in a row the peer could not be dialled. */
  failed(peer: string): number {
    return this.failures.get(peer) ?? 0;
  }

  addFailure(peer: string): void {
    if (this.failures.size >= PEERS) this.failures.clear();
    this.failures.set(peer, this.failed(peer) + 1);
  }

  /** The peer was reached, or is no longer of interest: the best endpoint is next. */
  forget(peer: string): void {
    this.failures.delete(peer);
  }
}
