import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, SystemClock } from '../../../../src/clock.js';
import { createLog } from '../../../../src/log.js';
import { FleetObjects } from '../../../../src/objects/fleet-objects.js';
import type { ObjectNode } from '../../../../src/objects/object-node.js';
import type { ObjectRing } from '../../../../src/objects/object-ring.js';
import type { StrangerLimits } from '../../../../src/peer/wire/strangers.js';
import { SystemRandom } from '../../../../src/random.js';
import { OPEN_ACCESS, type RespAccess } from '../../../../src/resp/resp-access.js';
import { RespServer, type RespServerOptions } from '../../../../src/resp/resp-server.js';
import type { ValueSharing } from '../../../../workers/objects/value-sharing.js';
import { WorkerObjects } from '../../../../workers/objects/worker-objects.js';

/** One worker's objects behind a server for the Redis protocol, on real sockets. */

const MiB = 2 ** 20;

export const ALONE: ObjectRing = {
  epoch: 'e',
  homes: () => ['w'],
  heirs: () => ['w'],
  standing: () => 'live',
  workers: () => ['w'],
  snapshot: () => () => ['w'],
};

export interface StationOptions {
  readonly access?: RespAccess;
  readonly budgetBytes?: number;
  readonly objectBytes?: number;
  readonly stagingBytes?: number;
  readonly commandBytes?: number;
  readonly replyBytes?: number;
  readonly clock?: Clock;
  readonly maxClients?: number;
  readonly strangers?: StrangerLimits;
  /** Clients of this host read values in shared memory. */
  readonly sharing?: ValueSharing;
  readonly tls?: RespServerOptions['listen']['tls'];
  /** Commands go the way of a process that is no worker. */
  readonly elsewhere?: boolean;
}

export class RespStation {
  readonly folder = mkdtempSync(join(tmpdir(), 'shoal-resp-'));
  readonly socketPath = join(this.folder, 'redis.sock');

  private constructor(
    readonly objects: WorkerObjects,
    readonly options: StationOptions,
    public server: RespServer,
  ) {}

  static async open(options: StationOptions = {}): Promise<RespStation> {
    const clock = options.clock ?? new SystemClock();
    const objects = new WorkerObjects({
      self: { id: 'w', incarnation: '1' },
      budgetBytes: options.budgetBytes ?? 64 * MiB,
      ring: ALONE,
      clock,
      wallMs: () => Date.now(),
      peerOf: () => null,
      events: { gone: () => {}, moved: () => {}, full: () => {} },
      ...(options.sharing && { sharing: options.sharing }),
    });
    objects.start();
    while (!objects.settled) await new Promise((resolve) => setImmediate(resolve));
    const fleet = new FleetObjects({
      ring: ALONE,
      clock,
      random: new SystemRandom(),
      nodeOf: () => distant(objects.home),
      own: options.elsewhere ? null : { id: 'w', objects: objects.home },
    });
    const station = new RespStation(objects, options, null as never);
    station.server = new RespServer({
      listen: { host: '127.0.0.1', port: 0, socketPath: station.socketPath, tls: options.tls ?? null },
      host: {
        objects: fleet,
        access: options.access ?? OPEN_ACCESS,
        clock,
        wallMs: () => Date.now(),
        version: '0.0.0',
        role: 'worker',
        id: 'w',
        objectBytes: options.objectBytes ?? 32 * MiB,
        memory: () => objects.store,
      },
      stagingBytes: options.stagingBytes ?? 64 * MiB,
      ...(options.commandBytes !== undefined && { commandBytes: options.commandBytes }),
      ...(options.replyBytes !== undefined && { replyBytes: options.replyBytes }),
      log: createLog({ level: 'silent', fields: {} }),
      ...(options.maxClients !== undefined && { maxClients: options.maxClients }),
      ...(options.strangers !== undefined && { strangers: options.strangers }),
    });
    await station.server.start();
    return station;
  }

  get port(): number {
    return this.server.port;
  }

  async close(): Promise<void> {
    await this.server.stop();
    this.objects.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  client(): Promise<RespProbe> {
    return RespProbe.open(this.port);
  }
}

/** The same node, each of whose calls takes a turn of the event loop, as those over a socket do. */
function distant(node: ObjectNode): ObjectNode {
  return new Proxy(node, {
    get:
      (target, call: keyof ObjectNode) =>
      async (...args: never[]) => {
        await new Promise((resolve) => setImmediate(resolve));
        return (target[call] as (...args: never[]) => Promise<unknown>).call(target, ...args);
      },
  });
}

/** A client that sends bytes, and reads what comes. */
export class RespProbe {
  private bytes: Buffer = Buffer.alloc(0);
  private wake: (() => void) | null = null;
  over = false;

  private constructor(readonly socket: net.Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.bytes = this.bytes.byteLength === 0 ? chunk : Buffer.concat([this.bytes, chunk]);
      this.wake?.();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.over = true;
      this.wake?.();
    });
  }

  static async open(port: number): Promise<RespProbe> {
    const socket = net.connect(port, '127.0.0.1');
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new RespProbe(socket);
  }

  /** Sends commands at once, and gives their replies. */
  async call(...commands: (string | Buffer)[][]): Promise<unknown[]> {
    this.socket.write(Buffer.concat(commands.map(packCommand)));
    const replies: unknown[] = [];
    for (const _ of commands) replies.push(await this.reply());
    return replies;
  }

  async one(...command: (string | Buffer)[]): Promise<unknown> {
    return (await this.call(command))[0];
  }

  /** The next reply: a string for bulk and simple strings, `-TEXT` for an error, null, a number, an array, or a map's entries in one array. */
  async reply(): Promise<unknown> {
    const line = await this.line();
    const rest = line.slice(1);
    switch (line[0]) {
      case '+':
        return rest;
      case '-':
        return line;
      case ':':
        return Number(rest);
      case '_':
        return null;
      case '$':
        return rest === '-1' ? null : (await this.take(Number(rest) + 2)).subarray(0, -2).toString('latin1');
      case '*':
      case '%': {
        const items: unknown[] = [];
        for (let i = Number(rest) * (line[0] === '%' ? 2 : 1); i > 0; i--) items.push(await this.reply());
        return items;
      }
    }
    throw new Error(`no reply: ${line}`);
  }

  async closed(): Promise<void> {
    while (!this.over) await this.more();
  }

  /** Everything that came and was not read. */
  get rest(): string {
    return this.bytes.toString('latin1');
  }

  end(): void {
    this.socket.destroy();
  }

  private async line(): Promise<string> {
    for (;;) {
      const end = this.bytes.indexOf('\r\n');
      if (end !== -1) return (await this.take(end + 2)).subarray(0, -2).toString('latin1');
      await this.more();
    }
  }

  private async take(bytes: number): Promise<Buffer> {
    while (this.bytes.byteLength < bytes) await this.more();
    const taken = this.bytes.subarray(0, bytes);
    this.bytes = this.bytes.subarray(bytes);
    return taken;
  }

  private more(): Promise<void> {
    if (this.over) throw new Error('the connection is closed');
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }
}

export function packCommand(args: readonly (string | Buffer)[]): Buffer {
  const parts = args.map((arg) => (typeof arg === 'string' ? Buffer.from(arg) : arg));
  return Buffer.concat([
    Buffer.from(`*${parts.length}\r\n`),
    ...parts.flatMap((part) => [Buffer.from(`$${part.byteLength}\r\n`), part, Buffer.from('\r\n')]),
  ]);
}
