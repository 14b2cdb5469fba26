import { chmod } from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import { KeyedMutex } from '../async/keyed-mutex.js';
import { Unavailable } from '../errors.js';
import type { Log } from '../log.js';
import { CoarseUse } from '../objects/coarse-use.js';
import type { ObjectHash } from '../objects/object-name.js';
import { ValueStaging } from '../objects/value-staging.js';
import { connectionLimit } from '../open-files.js';
import { PacedLog } from '../paced-log.js';
import { SocketPath } from '../peer/server/socket-path.js';
import type { SocketOptions } from '../peer/wire/socket.js';
import type { StrangerLimits } from '../peer/wire/strangers.js';
import { countGreetings } from '../peer/wire/tls-greetings.js';
import { CommandMemory } from './command-memory.js';
import { ReplyMemory } from './reply-memory.js';
import { RespConnection } from './resp-connection.js';
import { RespPlaces } from './resp-places.js';
import type { RespHost } from './resp-session.js';
import { RespTurns } from './resp-turns.js';

/** Listens for clients of the Redis protocol. */

/** Limit on the clients that have proved themselves, where the limit on open files allows that many. */
const CLIENTS = 2_048;
/** Memory of commands, over all clients. */
const COMMANDS_BYTES = 64 * 2 ** 20;
/** Memory of replies that clients have not taken, over all clients. */
const REPLIES_BYTES = 64 * 2 ** 20;
const TLS_HANDSHAKE_MS = 10_000;
const FULL = '-ERR max number of clients reached\r\n';

interface RespListenOptions {
  readonly host: string;
  /** 0 takes a free port; null for none. */
  readonly port: number | null;
  /** Path of a Unix socket; null for none. */
  readonly socketPath: string | null;
  /** PEM; null: TCP without TLS. */
  readonly tls: { readonly key: string; readonly cert: string } | null;
}

export interface RespServerOptions {
  readonly listen: RespListenOptions;
  readonly host: Omit<RespHost, 'port' | 'clients' | 'swaps' | 'coarse'>;
  /** Limit on the memory of incoming values, over all clients. */
  readonly stagingBytes: number;
  /** Limit on the memory of all other arguments of commands that come in or are at work, over all clients. */
  readonly commandBytes?: number;
  /** Limit on the memory of replies that clients have not taken, over all clients, beside values in memory. */
  readonly replyBytes?: number;
  readonly log: Log;
  readonly setSendBuffer?: SocketOptions['setSendBuffer'];
  readonly onCommand?: (command: string, ms: number) => void;
  readonly maxClients?: number;
  readonly strangers?: StrangerLimits;
}

export class RespServer {
  /** The port on which it listens; 0 for none. */
  port = 0;
  private readonly servers: net.Server[] = [];
  private readonly connections = new Set<RespConnection>();
  private readonly staging: ValueStaging;
  private readonly memory: CommandMemory;
  private readonly replies: ReplyMemory;
  private readonly turns = new RespTurns();
  private readonly host: RespHost;
  private readonly log: Log;
  private readonly places: RespPlaces;
  private socketPath: SocketPath | null = null;
  private ids = 0;

  constructor(private readonly options: RespServerOptions) {
    this.staging = new ValueStaging(options.stagingBytes);
    this.memory = new CommandMemory(options.commandBytes ?? COMMANDS_BYTES, options.host.clock);
    this.replies = new ReplyMemory(options.replyBytes ?? REPLIES_BYTES);
    this.log = new PacedLog(options.log, options.host.clock);
    const own = { port: () => this.port, clients: () => this.connections.size, swaps: new KeyedMutex<ObjectHash>() };
    this.host = { ...options.host, ...own, coarse: new CoarseUse() };
    const limit = options.maxClients ?? Math.floor(connectionLimit(2 * CLIENTS) / 2);
    this.places = new RespPlaces(limit, options.host.clock, options.strangers);
  }

  /** Clients that are connected. */
  get clients(): number {
    return this.connections.size;
  }

  /** Memory of incoming values. */
  get stagedBytes(): number {
    return this.staging.usedBytes;
  }

  /** Memory of commands that come in or are at work. */
  get commandBytes(): number {
    return this.memory.usedBytes;
  }

  /** Memory of replies that clients have not taken, beyond what each has without asking. */
  get replyBytes(): number {
    return this.replies.usedBytes;
  }

  /** @throws Unavailable if it cannot listen */
  async start(): Promise<void> {
    const { host, port, socketPath, tls: certificate } = this.options.listen;
    if (port !== null) {
      const server = certificate === null ? this.plainServer() : this.tlsServer(certificate);
      await this.listen(server, { host, port }, `${host}:${port}`);
      this.port = (server.address() as AddressInfo).port;
    }
    if (socketPath === null) return;
    const owner = `${this.host.role} ${this.host.id} (process ${process.pid})`;
    this.socketPath = await SocketPath.claim(socketPath, owner, '--redis-socket');
    await this.listen(this.plainServer(), { path: socketPath }, socketPath);
    await chmod(socketPath, 0o600);
  }

  async stop(): Promise<void> {
    const closed = this.servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const connection of this.connections) connection.close();
    await Promise.all(closed);
    await this.socketPath?.release();
  }

  private listen(server: net.Server, at: net.ListenOptions, where: string): Promise<void> {
    this.servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', (error) =>
        reject(
          new Unavailable(`cannot listen for Redis clients on ${where}: ${error.message}; choose another --redis-port`),
        ),
      );
      server.listen(at, () => {
        server.on('error', (err) => this.log.error({ err }, 'the listener for Redis clients failed'));
        resolve();
      });
    });
  }

  private plainServer(): net.Server {
    return net.createServer({ pauseOnConnect: true }, (socket) => this.accept(socket));
  }

  private tlsServer(certificate: { readonly key: string; readonly cert: string }): net.Server {
    const options = { ...certificate, minVersion: 'TLSv1.2', handshakeTimeout: TLS_HANDSHAKE_MS } as const;
    const server = tls.createServer(options, (socket) => this.accept(socket));
    countGreetings(server, this.places.enter);
    return server;
  }

  private accept(socket: net.Socket): void {
    const leave = this.places.enter(socket.remoteAddress ?? 'unix', () => connection.close());
    if (leave === null) {
      socket.on('error', () => {});
      socket.end(FULL, () => socket.destroy());
      return;
    }
    const { log } = this;
    const { setSendBuffer, onCommand = () => {} } = this.options;
    const connection: RespConnection = new RespConnection(socket, {
      host: this.host,
      staging: this.staging,
      memory: this.memory,
      replies: this.replies,
      turns: this.turns,
      log,
      id: ++this.ids,
      socket: { setSendBuffer },
      onCommand,
      onTrusted: () => this.place(connection, leave),
      onClosed: () => {
        leave();
        this.places.giveBack(connection);
        this.connections.delete(connection);
      },
    });
    this.connections.add(connection);
    if (connection.trusted) this.place(connection, leave);
  }

  private place(connection: RespConnection, leaveStrangers: () => void): void {
    leaveStrangers();
    if (!this.places.take(connection)) connection.refuse('ERR max number of clients reached');
  }
}
