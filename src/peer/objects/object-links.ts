import type { Clock } from '../../clock.js';
import type { PeerAddress } from '../../core/member.js';
import { Unavailable } from '../../errors.js';
import { HANDSHAKE_TIMEOUT_MS, PEER_PROGRESS_TIMEOUT_MS } from '../../limits.js';
import type { ObjectPeer } from '../../objects/object-node.js';
import type { Random } from '../../random.js';
import { EndpointTurns } from '../wire/endpoint-turns.js';
import { ClientHandshake, NONCE_BYTES, type PeerIdentity } from '../wire/handshake.js';
import { type PeerNetwork, SOCKETS } from '../wire/network.js';
import type { SocketOptions } from '../wire/socket.js';
import { ObjectLink } from './object-link.js';
import { RemoteObjects } from './remote-objects.js';

/** Links to workers for objects, one for each, opened when first needed and opened again after a loss. */

export interface ObjectLinksOptions extends SocketOptions {
  /** Default: sockets. */
  readonly network?: PeerNetwork;
  readonly identity: PeerIdentity;
  /** The machine this process is on, as in `PeerAddress`. */
  readonly hostId: string;
  readonly secret: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Default: objects. */
  readonly purpose?: 'objects' | 'models';
  /** The living process of a worker; null if there is none. */
  readonly workerOf: (id: string) => { readonly incarnation: string; readonly address: PeerAddress } | null;
}

interface PooledLink {
  readonly incarnation: string;
  readonly link: ObjectLink;
}

export class ObjectLinks {
  private readonly pool = new Map<string, PooledLink>();
  private readonly turns: EndpointTurns;
  private over = false;

  constructor(private readonly options: ObjectLinksOptions) {
    this.turns = new EndpointTurns(options.hostId);
  }

  /** The objects of a worker; null if no living process has this ID. */
  peer(id: string): ObjectPeer | null {
    if (this.options.workerOf(id) === null) return null;
    return new RemoteObjects(() => this.linkTo(id));
  }

  /** Closes the link to a worker that is gone. */
  forget(id: string): void {
    const known = this.pool.get(id);
    this.pool.delete(id);
    known?.link.close(new Unavailable(`worker ${id} is no longer a member`));
  }

  close(): void {
    this.over = true;
    for (const id of [...this.pool.keys()]) this.forget(id);
  }

  private linkTo(id: string): ObjectLink {
    const { options } = this;
    const worker = options.workerOf(id);
    if (this.over || worker === null) throw new Unavailable(`worker ${id} cannot be reached`);
    const known = this.pool.get(id);
    if (known !== undefined) {
      if (known.incarnation === worker.incarnation && !known.link.closedAlready) return known.link;
      this.forget(id);
    }
    const { incarnation, address } = worker;
    const endpoint = this.turns.next(id, address);
    const { network = SOCKETS, random, purpose = 'objects' } = options;
    const wanted = { id, incarnation };
    const link: ObjectLink = new ObjectLink({
      open: (inlet) => network.dial(endpoint, inlet, options),
      handshake: new ClientHandshake(options.identity, wanted, purpose, options.secret, random.bytes(NONCE_BYTES)),
      clock: options.clock,
      handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
      progressTimeoutMs: PEER_PROGRESS_TIMEOUT_MS,
      onClosed: (wasOpen) => {
        if (this.pool.get(id)?.link !== link) return;
        this.pool.delete(id);
        if (wasOpen) this.turns.forget(id);
        else this.turns.addFailure(id);
      },
    });
    this.pool.set(id, { incarnation, link });
    return link;
  }
}
