import type net from 'node:net';
import tls from 'node:tls';
import type { Timer } from '../clock.js';
import { InvalidRequest, ShoalError as KnownError, type ShoalError } from '../errors.js';
import type { Log } from '../log.js';
import type { ValueStaging } from '../objects/value-staging.js';
import { adopt, type Inlet, type SocketOptions } from '../peer/wire/socket.js';
import { type RespCommand, RespFault } from './command.js';
import type { CommandMemory } from './command-memory.js';
import { COMMANDS } from './command-table.js';
import { BrokenReply } from './commands/strings.js';
import type { ReplyMemory } from './reply-memory.js';
import { ReplyOutlet } from './reply-outlet.js';
import { printableText, ReplyWriter } from './reply-writer.js';
import type { PlacedClient } from './resp-places.js';
import { type RespArg, RespProtocolError, RespReader, type RespTaker } from './resp-reader.js';
import { type RespHost, RespSession, wordOf } from './resp-session.js';
import { RespPace, type RespTurns } from './resp-turns.js';

/** One client of the Redis protocol: reads its commands, runs them one after another, and writes the replies. */

/** A client that stalls for this long in the middle of a command, or of taking a reply, is disconnected. */
const STALLED_MS = 30_000;
/** A client that has to prove itself has so much time. */
const PROOF_MS = 10_000;

export interface RespConnectionOptions {
  readonly host: RespHost;
  readonly staging: ValueStaging;
  readonly memory: CommandMemory;
  readonly replies: ReplyMemory;
  readonly turns: RespTurns;
  readonly log: Log;
  readonly id: number;
  readonly socket: SocketOptions;
  readonly onCommand: (command: string, ms: number) => void;
  /** The client has proved itself with a command. Called once. */
  readonly onTrusted: () => void;
  readonly onClosed: () => void;
}

export class RespConnection implements RespTaker, Inlet, PlacedClient {
  /** When its last command ended. */
  activeMs: number;
  private readonly reply = new ReplyWriter();
  private readonly reader: RespReader;
  private readonly session: RespSession;
  private readonly leaving = new AbortController();
  private readonly socket: net.Socket;
  private readonly proving: Timer;
  private readonly outlet: ReplyOutlet;
  private readonly turn: RespPace;
  private over = false;
  private refused = false;
  /** Whether the client had proved itself when its last command ended. */
  private wasTrusted: boolean;
  /** Whether bytes came while a command was at work, so that no more are read before its end. */
  private held = false;

  constructor(
    accepted: net.Socket,
    private readonly options: RespConnectionOptions,
  ) {
    const { host, staging, id } = options;
    const address = accepted.remoteAddress === undefined ? 'unix' : `${accepted.remoteAddress}:${accepted.remotePort}`;
    const slow = () => this.refuse('ERR the command came too slowly while others needed its memory');
    this.reader = new RespReader(this, staging, options.memory.share(slow));
    this.outlet = new ReplyOutlet({
      reply: this.reply,
      share: options.replies.share(),
      socket: () => this.socket,
      tenant: () => this.tenant,
      copies: accepted instanceof tls.TLSSocket,
    });
    this.session = new RespSession(host, id, this.reply, this.leaving.signal, this.outlet, address);
    this.turn = new RespPace({ turns: options.turns, trusted: () => this.trusted });
    this.activeMs = host.clock.now();
    this.wasTrusted = this.trusted;
    this.proving = host.clock.after(PROOF_MS, () => {
      // A client that is checked again just now has proved itself before.
      if (!this.trusted && !this.wasTrusted) this.close();
    });
    this.socket = adopt(accepted, this, options.socket);
    this.socket.setTimeout(STALLED_MS);
    this.socket.on('timeout', () => {
      const reads = this.reader.midCommand && !this.reader.blocked;
      if (reads || this.socket.writableLength > 0) this.close();
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => this.closed());
  }

  get argBytes(): number {
    return this.options.host.objectBytes;
  }

  get trusted(): boolean {
    return this.session.principal !== null;
  }

  get tenant(): string | null {
    return this.session.tenant;
  }

  get paused(): boolean {
    return this.held;
  }

  get idle(): boolean {
    return !this.reader.midCommand && !this.reader.blocked;
  }

  close(): void {
    this.socket.destroy();
  }

  /** Tells the client why it is disconnected. */
  refuse(error: string): void {
    this.refused = true;
    this.reply.error(error);
    this.reader.stop();
    this.outlet.send();
    this.socket.pause();
    this.socket.end(() => this.close());
  }

  target(): Uint8Array {
    return this.reader.target();
  }

  advance(bytes: number): void {
    if (this.over) return;
    const atWork = this.reader.blocked;
    this.read(() => this.reader.advance(bytes));
    // A client that waits for its reply sends nothing meanwhile, and need not be held.
    if (atWork && this.reader.blocked) this.hold();
  }

  command(args: RespArg[], fault: ShoalError | null): void {
    this.session.commands++;
    this.turn.command();
    const startedMs = this.options.host.clock.now();
    const running = this.begin(args, fault);
    if (running === undefined) {
      this.ended(args, startedMs);
      this.pace();
      return;
    }
    this.reader.blocked = true;
    running
      .catch((error: unknown) => this.fail(error))
      .then(() => this.outlet.end())
      .then(() => {
        this.ended(args, startedMs);
        this.unblock();
      });
  }

  nothing(): void {
    this.turn.command();
    if (!this.trusted) this.strike();
  }

  stepped(): void {
    this.turn.step();
    if (this.turn.over && !this.reader.blocked) this.rest();
  }

  /** Runs a command. Returns a promise if it is asynchronous. */
  private begin(args: readonly RespArg[], fault: ShoalError | null): Promise<void> | undefined {
    try {
      if (this.session.stale) return this.session.check().then(() => this.run(args, fault));
      return this.run(args, fault) ?? undefined;
    } catch (error) {
      this.fail(error);
      return undefined;
    }
  }

  private run(args: readonly RespArg[], fault: ShoalError | null): void | Promise<void> {
    const command = COMMANDS.get(wordOf(args[0]).toLowerCase());
    if (command === undefined) throw new RespFault(unknown(args));
    if (!this.trusted && !command.flags.includes('no_auth')) throw new RespFault('NOAUTH Authentication required.');
    const fits = command.arity < 0 ? args.length >= -command.arity : args.length === command.arity;
    if (fault !== null) throw fault;
    if (!fits) throw new RespFault(`ERR wrong number of arguments for '${command.name}' command`);
    const use = this.session.use(command);
    return use === undefined
      ? command.run(this.session, args)
      : use.then((refused) => this.runIf(refused, command, args));
  }

  private runIf(refused: string | null, command: RespCommand, args: readonly RespArg[]): void | Promise<void> {
    if (refused !== null) throw new RespFault(`ERR ${printableText(Buffer.from(refused), 512)}`);
    return command.run(this.session, args);
  }

  private ended(args: readonly RespArg[], startedMs: number): void {
    for (const arg of args) if (!Buffer.isBuffer(arg)) arg.release();
    const known = COMMANDS.get(wordOf(args[0]).toLowerCase());
    this.activeMs = this.options.host.clock.now();
    this.options.onCommand(known?.name ?? 'unknown', this.activeMs - startedMs);
    if (this.trusted && !this.wasTrusted) {
      this.wasTrusted = true;
      this.options.onTrusted();
    }
    if (!this.session.leaving) return;
    this.reader.blocked = true;
    this.outlet.send();
    this.socket.end();
  }

  private fail(error: unknown): void {
    if (this.over) return;
    if (error instanceof BrokenReply) {
      this.options.log.warn({ reason: error.message }, 'a reply broke off: the client is disconnected');
      this.close();
      return;
    }
    if (!(error instanceof RespFault) && !(error instanceof KnownError)) {
      this.options.log.error({ err: error }, 'a command failed');
    }
    this.reply.error(faultOf(error));
    if (!this.trusted) this.strike();
  }

  /** A client that has not proved itself sends something else than the commands for that. */
  private strike(): void {
    if (!this.refused && !this.turn.strike()) this.refuse('ERR too many commands without authentication');
  }

  /** Runs what reads commands; afterwards sends the replies. */
  private read(work: () => void): void {
    try {
      work();
    } catch (error) {
      const text = error instanceof RespProtocolError ? `Protocol error: ${error.message}` : 'internal error';
      this.refuse(`ERR ${text}`);
      return;
    }
    if (this.reader.blocked || this.over) return;
    this.outlet.send();
    this.pace();
  }

  /** The next command waits while replies have no room. */
  private pace(): void {
    if (this.reader.blocked || this.over || this.refused || !this.outlet.full) return;
    this.reader.blocked = true;
    this.outlet.flush().then(() => this.unblock());
  }

  private hold(): void {
    this.held = true;
    this.socket.pause();
  }

  /** The next command waits for another turn of the event loop: all clients together have had enough in this one. */
  private rest(): void {
    this.reader.blocked = true;
    this.outlet.send();
    this.turn.wait(() => this.unblock());
  }

  private unblock(): void {
    if (this.over || this.refused || this.session.leaving) return;
    if (this.turn.over) {
      this.rest();
      return;
    }
    this.reader.blocked = false;
    this.read(() => this.reader.proceed());
    if (this.reader.blocked || !this.held) return;
    this.held = false;
    this.socket.resume();
  }

  private closed(): void {
    this.over = true;
    this.proving.cancel();
    this.leaving.abort();
    this.reader.stop();
    this.outlet.close();
    this.options.onClosed();
  }
}

/** The error of a command in Redis' form: a code in capitals, then a text of one line. */
function faultOf(error: unknown): string {
  if (error instanceof RespFault) return error.message;
  if (!(error instanceof KnownError)) return 'ERR internal error';
  const text = printableText(Buffer.from(error.message), 512);
  if (error instanceof InvalidRequest) return `ERR ${text}`;
  return error.code === 'overloaded' ? `OOM ${text}` : `TRYAGAIN ${text}`;
}

function unknown(args: readonly RespArg[]): string {
  const shown = (arg: RespArg | undefined) => (arg !== undefined && Buffer.isBuffer(arg) ? printableText(arg) : '');
  const first = args.slice(1, 4).map((arg) => `'${shown(arg)}' `);
  return `ERR unknown command '${shown(args[0])}', with args beginning with: ${first.join('')}`;
}
