import type { Timer } from '../../clock.js';
import { Corrupt, fromWire, Refused, type ShoalError, toWire, Unavailable } from '../../errors.js';
import { HANDSHAKE_FRAME_BYTES } from '../../limits.js';
import { Connection, type ConnectionOptions, type ConnectionOwner } from './connection.js';
import { checkLengths, PRELUDE_BYTES, type Prelude } from './frame.js';
import {
  type ClientHandshake,
  type ClientHandshakeMessage,
  handshakeFromClient,
  handshakeFromServer,
  type PeerIdentity,
  type Purpose,
  type ServerHandshake,
  type ServerHandshakeMessage,
} from './handshake.js';

/**
 * The handshake on a connection, then the hand-over to the owner that serves its purpose. Until then a greeting admits only the frames of the
 * handshake, of at most `HANDSHAKE_FRAME_BYTES`, and only before a deadline. Both sides' greetings are the same for all purposes.
 */

interface GreetingOptions extends ConnectionOptions {
  readonly handshakeTimeoutMs: number;
}

export interface ClientGreetingOptions extends GreetingOptions {
  readonly handshake: ClientHandshake;
}

/** The dialling side's owner of a connection: `closed` is called also where the handshake came to nothing, other methods only after `opened`. */
export interface Dialler extends ConnectionOwner {
  /** Both sides have proved that they know the secret: frames can be sent, and come to this owner. What it throws ends the connection. */
  opened(connection: Connection, server: PeerIdentity): void;
}

/** Greets the server at the other end, on the dialling side. The connection may be closed at any time; send no frames on it before `opened`. */
export function greetServer(options: ClientGreetingOptions, dialler: Dialler): Connection {
  return new ClientGreeting(options, dialler).connection;
}

/**
 * Makes the owner for a connection that a client has dialled and proved. `welcome` is already on its way: the owner may send its own frames at
 * once. What it throws ends the connection.
 */
export type OpenSession = (connection: Connection, client: PeerIdentity) => ConnectionOwner;

export interface ServerGreetingOptions extends GreetingOptions {
  readonly handshake: ServerHandshake;
  /** Chooses what serves a purpose. Throws Refused for a purpose that is not served; the client is told so in place of `welcome`. */
  readonly sessionFor: (purpose: Purpose) => OpenSession;
}

/** Greets the client at the other end, on the dialled side. `onClosed` tells the connection's end, before or after the handshake. */
export function greetClient(options: ServerGreetingOptions): Connection {
  return new ServerGreeting(options).connection;
}

class ClientGreeting implements ConnectionOwner {
  readonly connection: Connection;
  private readonly deadline: Timer;
  private due: 'challenge' | 'welcome' = 'challenge';
  private message: ServerHandshakeMessage | null = null;

  constructor(
    private readonly options: ClientGreetingOptions,
    private readonly dialler: Dialler,
  ) {
    const { clock, handshakeTimeoutMs, handshake } = options;
    this.connection = new Connection(options, this);
    this.deadline = clock.after(handshakeTimeoutMs, () =>
      this.connection.close(new Unavailable(`a peer did not finish the handshake within ${handshakeTimeoutMs} ms`)),
    );
    this.connection.say(handshakeFromClient, 0, handshake.hello);
  }

  admit(prelude: Prelude): void {
    const type = handshakeFromServer.typeOf(prelude.type);
    checkHandshakeFrame(prelude, type, this.due, type === 'error' || type === this.due);
  }

  begin(prelude: Prelude, header: Uint8Array): null {
    this.message = handshakeFromServer.read(handshakeFromServer.typeOf(prelude.type), header);
    return null;
  }

  wants(): boolean {
    return false;
  }

  end(): void {
    const { connection, message } = this;
    const { handshake } = this.options;
    switch (message!.type) {
      case 'challenge':
        this.due = 'welcome';
        connection.say(handshakeFromClient, 0, handshake.prove(message!));
        return;
      case 'welcome': {
        const server = handshake.accept(message!);
        this.deadline.cancel();
        connection.handTo(this.dialler, server);
        this.dialler.opened(connection, server);
        return;
      }
      case 'error':
        throw fromWire(message!);
    }
  }

  awaits(): boolean {
    return true;
  }

  closed(reason: ShoalError): void {
    this.deadline.cancel();
    this.dialler.closed(reason);
  }
}

class ServerGreeting implements ConnectionOwner {
  readonly connection: Connection;
  private readonly deadline: Timer;
  private due: 'hello' | 'proof' = 'hello';
  private message: ClientHandshakeMessage | null = null;

  constructor(private readonly options: ServerGreetingOptions) {
    const { clock, handshakeTimeoutMs } = options;
    this.connection = new Connection(options, this);
    this.deadline = clock.after(handshakeTimeoutMs, () =>
      this.connection.close(new Refused(`a peer did not finish the handshake within ${handshakeTimeoutMs} ms`)),
    );
  }

  admit(prelude: Prelude): void {
    const type = handshakeFromClient.typeOf(prelude.type);
    checkHandshakeFrame(prelude, type, this.due, type === this.due);
  }

  begin(prelude: Prelude, header: Uint8Array): null {
    this.message = handshakeFromClient.read(handshakeFromClient.typeOf(prelude.type), header);
    return null;
  }

  wants(): boolean {
    return false;
  }

  end(): void {
    try {
      this.answer(this.message!);
    } catch (error) {
      this.connection.refuse(fromWire(toWire(error)));
    }
  }

  awaits(): boolean {
    return true;
  }

  closed(): void {
    this.deadline.cancel();
  }

  private answer(message: ClientHandshakeMessage): void {
    const { connection } = this;
    const { handshake, sessionFor } = this.options;
    if (message.type === 'hello') {
      this.due = 'proof';
      connection.say(handshakeFromServer, 0, handshake.answer(message));
      return;
    }
    const { welcome, peer, purpose } = handshake.accept(message);
    const openSession = sessionFor(purpose);
    this.deadline.cancel();
    connection.say(handshakeFromServer, 0, welcome);
    connection.handTo(openSession(connection, peer), peer);
  }
}

function checkHandshakeFrame(prelude: Prelude, type: string, due: string, allowed: boolean): void {
  checkLengths(prelude, HANDSHAKE_FRAME_BYTES - PRELUDE_BYTES, 0);
  if (prelude.request !== 0 || !allowed) {
    throw new Corrupt(`a peer sent '${type}' for request ${prelude.request} where '${due}' for request 0 was due`);
  }
}
