import type { Clock } from '../clock.js';
import { type EnterStranger, type StrangerLimits, Strangers } from '../peer/wire/strangers.js';

/** The places of a server for the Redis protocol: most for authenticated clients, and a few for the others. */

/** The places of unauthenticated clients, including clients in a TLS handshake. */
const STRANGERS: StrangerLimits = { connections: 512, perAddress: 256, perSecond: 512, burst: 2_048 };

/** A client with a place, or one that wants one. */
export interface PlacedClient {
  /** Null where all clients are one tenant. */
  readonly tenant: string | null;
  /** Whether no command is running or arriving. */
  readonly idle: boolean;
  /** When its last command ended. */
  readonly activeMs: number;
  close(): void;
}

/**
 * Strangers take no place of clients that have proved themselves (`Strangers`). Where all places are taken, a client takes the one of the longest
 * idle client of the tenant that has the most, if its own tenant has fewer.
 */
export class RespPlaces {
  private readonly strangers: Strangers;
  private readonly clients = new Set<PlacedClient>();

  /** @param limit clients that have proved themselves */
  constructor(
    private readonly limit: number,
    private readonly clock: Clock,
    strangers: StrangerLimits = STRANGERS,
  ) {
    this.strangers = new Strangers({
      ...strangers,
      connections: Math.min(strangers.connections, Math.ceil(limit / 4)),
    });
  }

  /** A connection comes; see `EnterStranger`. */
  readonly enter: EnterStranger = (address, evict) => this.strangers.enter(address, this.clock.now(), evict);

  /** A client has proved itself, or need not. False if there is no place for it. */
  take(client: PlacedClient): boolean {
    if (this.clients.size >= this.limit && !this.makeRoom(client.tenant)) return false;
    this.clients.add(client);
    return true;
  }

  giveBack(client: PlacedClient): void {
    this.clients.delete(client);
  }

  private makeRoom(tenant: string | null): boolean {
    const counts = new Map<string | null, number>();
    for (const client of this.clients) counts.set(client.tenant, (counts.get(client.tenant) ?? 0) + 1);
    const [crowd, most] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a));
    if ((counts.get(tenant) ?? 0) >= most) return false;
    const idle = [...this.clients].filter((client) => client.tenant === crowd && client.idle);
    if (idle.length === 0) return false;
    const longest = idle.reduce((a, b) => (b.activeMs < a.activeMs ? b : a));
    this.clients.delete(longest);
    longest.close();
    return true;
  }
}
