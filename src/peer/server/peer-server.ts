import { chmod, lstat, rm } from 'node:fs/promises';
import type net from 'node:net';
import { Deferred } from '../../async/deferred.js';
import { type Clock, SystemClock } from '../../clock.js';
import { InvalidRequest, Overloaded, type ShoalError, Unavailable } from '../../errors.js';
import { HANDSHAKE_TIMEOUT_MS, PEER_CONNECTIONS, PEER_PROGRESS_TIMEOUT_MS } from '../../limits.js';
import { type Random, SystemRandom } from '../../random.js';
import { type PeerObserver, SILENT } from '../observer.js';
import { NONCE_BYTES, type PeerIdentity, ServerHandshake } from '../wire/handshake.js';
import { adopt, listener, type SocketOptions } from '../wire/socket.js';
import type { BlockHost } from './block-host.js';
import { Session } from './session.js';

export interface PeerServerOptions extends SocketOptions {
  readonly identity: PeerIdentity;
  readonly secret: string;
  readonly host: BlockHost;
  /** Bytes of every block, by the fleet's K/V layout. */
  readonly blockBytes: number;
  readonly observer?: PeerObserver;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly connections?: number;
  readonly handshakeTimeoutMs?: number;
  readonly progressTimeoutMs?: number;
}

export interface ListenOptions {
  /** Path of a Unix socket to make; what is left of an earlier one there is removed. */
  readonly unixPath?: string | null;
  readonly tcpHost?: string | null;
  /** 0 for any free port. */
  readonly tcpPort?: number | null;
}

export interface PeerAddresses {
  readonly unixPath: string | null;
  readonly tcpHost: string | null;
  readonly tcpPort: number | null;
}

type ClosedListener = (id: string, incarnation: string) => void;

/** Longest path that fits a Unix socket's address on Linux. */
const UNIX_PATH_BYTES = 107;

/** Lends the blocks of this worker to its peers, and takes what they push. */
export class PeerServer {
  private readonly servers: net.Server[] = [];
  private readonly sessions = new Set<Session>();
  private readonly closedListeners: ClosedListener[] = [];
  private readonly observer: PeerObserver;
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly emptied = new Deferred<void>();
  private over = false;

  constructor(private readonly options: PeerServerOptions) {
    this.observer = options.observer ?? SILENT;
    this.clock = options.clock ?? new SystemClock();
    this.random = options.random ?? new SystemRandom();
  }

  /** Begins to listen, on a Unix socket, on TCP, or both. Rejects with InvalidRequest or Unavailable if an address cannot be had. */
  async listen(at: ListenOptions): Promise<PeerAddresses> {
    const unixPath = at.unixPath ?? null;
    const tcpHost = at.tcpHost ?? null;
    if (unixPath !== null) {
      await clearPath(unixPath);
      await this.bind({ path: unixPath });
      await chmod(unixPath, 0o600);
    }
    if (tcpHost === null) return { unixPath, tcpHost: null, tcpPort: null };
    const server = await this.bind({ host: tcpHost, port: at.tcpPort ?? 0 });
    const address = server.address();
    return { unixPath, tcpHost, tcpPort: typeof address === 'object' && address ? address.port : null };
  }

  /** Connections at this moment, proved or not. */
  get connections(): number {
    return this.sessions.size;
  }

  private get most(): number {
    return this.options.connections ?? PEER_CONNECTIONS;
  }

  /** Calls back when a connection that a peer had made and proved is lost. Not for those that this server closes itself. */
  onLinkClosed(listener: ClosedListener): void {
    this.closedListeners.push(listener);
  }

  /** Stops listening and breaks all connections off. Resolves when no memory is lent to them or taken for them any more. */
  async close(): Promise<void> {
    this.over = true;
    const closed = this.servers.map((server) => new Promise((resolve) => server.close(resolve)));
    for (const session of this.sessions) session.close(new Unavailable('this worker is closing'));
    if (this.sessions.size > 0) await this.emptied.promise;
    await Promise.all(closed);
  }

  private bind(options: net.ListenOptions): Promise<net.Server> {
    const { setSendBuffer, tls } = this.options;
    const server = listener(options.path === undefined ? { tls } : { setSendBuffer }, (socket) => this.accept(socket));
    server.maxConnections = this.most;
    const where = options.path ?? `${options.host}:${options.port}`;
    return new Promise((resolve, reject) => {
      // Stays for errors of later connections, which concern nobody else.
      server.on('error', (error) => reject(new Unavailable(`cannot listen for peers on ${where}: ${error.message}`)));
      server.listen(options, () => {
        this.servers.push(server);
        resolve(server);
      });
    });
  }

  private accept(socket: net.Socket): void {
    if (this.over || this.sessions.size >= this.most) {
      socket.destroy();
      this.observer.onFailure(new Overloaded('').code);
      return;
    }
    const { identity, secret, host, blockBytes } = this.options;
    const session: Session = new Session({
      open: (inlet) => adopt(socket, inlet, this.options),
      handshake: new ServerHandshake(identity, secret, this.random.bytes(NONCE_BYTES)),
      host,
      blockBytes,
      clock: this.clock,
      observer: this.observer,
      handshakeTimeoutMs: this.options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
      progressTimeoutMs: this.options.progressTimeoutMs ?? PEER_PROGRESS_TIMEOUT_MS,
      onClosed: (reason, peer) => this.ended(session, reason, peer),
    });
    this.sessions.add(session);
  }

  private ended(session: Session, reason: ShoalError, peer: PeerIdentity | null): void {
    this.sessions.delete(session);
    if (this.over && this.sessions.size === 0) this.emptied.resolve();
    if (this.over) return;
    if (!peer || reason.code !== 'unavailable') this.observer.onFailure(reason.code);
    if (!peer) return;
    for (const listener of this.closedListeners) listener(peer.id, peer.incarnation);
  }
}

async function clearPath(path: string): Promise<void> {
  const bytes = Buffer.byteLength(path);
  if (bytes > UNIX_PATH_BYTES) {
    throw new InvalidRequest(
      `the path of a Unix socket has at most ${UNIX_PATH_BYTES} bytes, ${path} has ${bytes}`,
      'unixPath',
    );
  }
  const found = await lstat(path).catch(() => null);
  if (!found) return;
  if (!found.isSocket()) throw new InvalidRequest(`${path} is there already, and is not a socket`, 'unixPath');
  await rm(path, { force: true });
}
