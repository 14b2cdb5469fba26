import { once } from 'node:events';
import net from 'node:net';
import { FrameReader, type FrameTaker, type Prelude, packFrame } from '../../../../src/peer/wire/frame.js';
import {
  ClientHandshake,
  type ClientHandshakeMessage,
  handshakeFromClient,
  handshakeFromServer,
  type PeerIdentity,
  type Purpose,
  ServerHandshake,
  type ServerHandshakeMessage,
} from '../../../../src/peer/wire/handshake.js';
import type { Direction } from '../../../../src/peer/wire/message-format.js';
import { type ClientMessage, fromClient, fromServer, type ServerMessage } from '../../../../src/peer/wire/messages.js';
import { ALICE, BOB, SECRET } from './pair.js';

/** Messages of one direction, those of the handshake included. */
type Messages<M extends { type: string }> = Pick<Direction<M>, 'typeOf' | 'pack' | 'read'>;
export type AnyClientMessage = ClientHandshakeMessage | ClientMessage;
export type AnyServerMessage = ServerHandshakeMessage | ServerMessage;

function joined<A extends { type: string }, B extends { type: string }>(
  handshake: Direction<A>,
  blocks: Direction<B>,
  types: readonly A['type'][],
): Messages<A | B> {
  const directionOf = (type: string) => (types.includes(type) ? handshake : blocks) as unknown as Direction<A | B>;
  return {
    typeOf: (code) => (code < 16 ? handshake : blocks).typeOf(code),
    pack: (message) => directionOf(message.type).pack(message),
    read: (type, header) => directionOf(type).read(type, header),
  };
}

export const anyFromClient = joined(handshakeFromClient, fromClient, ['hello', 'proof']);
export const anyFromServer = joined(handshakeFromServer, fromServer, ['challenge', 'welcome']);

/** One end of a connection that says what a test wants, in whatever order, right or wrong. */
export class RawPeer<In extends { type: string }, Out extends { type: string }> {
  readonly closed: Promise<void>;
  private readonly heard: { request: number; message: In }[] = [];
  private readonly waiting: (() => void)[] = [];

  constructor(
    readonly socket: net.Socket,
    incoming: Messages<In>,
    private readonly outgoing: Messages<Out>,
  ) {
    let current: { request: number; message: In } | null = null;
    const taker: FrameTaker = {
      admit: () => {},
      begin: (prelude: Prelude, header) => {
        const message = incoming.read(incoming.typeOf(prelude.type), header);
        current = { request: prelude.request, message };
        return null;
      },
      wants: () => true,
      end: () => {
        this.heard.push(current!);
        this.waiting.shift()?.();
      },
    };
    const reader = new FrameReader(taker);
    reader.handTo(taker);
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; ) {
        const target = reader.target();
        const part = chunk.subarray(at, at + target.byteLength);
        target.set(part);
        reader.advance(part.byteLength);
        at += part.byteLength;
      }
    });
  }

  send(request: number, message: Out, payload: Uint8Array = new Uint8Array(0)): void {
    const { code, header } = this.outgoing.pack(message);
    this.sendFrame(code, request, header, payload.byteLength, payload);
  }

  /** `payloadBytes` is what the frame says, `payload` what follows. */
  sendFrame(
    code: number,
    request: number,
    header: Uint8Array,
    payloadBytes: number,
    payload: Uint8Array = new Uint8Array(0),
  ): void {
    this.socket.write(packFrame(code, request, header, payloadBytes));
    this.socket.write(payload);
  }

  /** The next message of this type; others are passed over. */
  async next<T extends In['type']>(type: T): Promise<{ request: number; message: Extract<In, { type: T }> }> {
    for (;;) {
      const heard = this.heard.shift();
      if (!heard) {
        await new Promise<void>((resolve) => this.waiting.push(resolve));
        continue;
      }
      if (heard.message.type === type) return heard as { request: number; message: Extract<In, { type: T }> };
    }
  }
}

export type RawClient = RawPeer<AnyServerMessage, AnyClientMessage>;
export type RawServer = RawPeer<AnyClientMessage, AnyServerMessage>;

/** Connects to a server, and says nothing. */
export async function rawClient(unixPath: string): Promise<RawClient> {
  const socket = net.connect(unixPath);
  await once(socket, 'connect');
  return new RawPeer(socket, anyFromServer, anyFromClient);
}

/** Connects to a server and proves itself. */
export async function provedClient(
  unixPath: string,
  identity: PeerIdentity = ALICE,
  secret = SECRET,
  purpose: Purpose = 'blocks',
): Promise<RawClient> {
  const client = await rawClient(unixPath);
  const handshake = new ClientHandshake(identity, BOB, purpose, secret, new Uint8Array(32).fill(1));
  client.send(0, handshake.hello);
  client.send(0, handshake.prove((await client.next('challenge')).message));
  handshake.accept((await client.next('welcome')).message);
  return client;
}

/** A server that proves itself as Bob to the first client, and then does as the test says. */
export async function provedServer(
  unixPath: string,
  then: (peer: RawServer, proof: Extract<ClientHandshakeMessage, { type: 'proof' }>) => void | Promise<void>,
): Promise<net.Server> {
  const server = net.createServer(async (socket) => {
    const peer: RawServer = new RawPeer(socket, anyFromClient, anyFromServer);
    const handshake = new ServerHandshake(BOB, SECRET, new Uint8Array(32).fill(2));
    peer.send(0, handshake.answer((await peer.next('hello')).message));
    const { message: proof } = await peer.next('proof');
    peer.send(0, handshake.accept(proof).welcome);
    await then(peer, proof);
  });
  server.listen(unixPath);
  await once(server, 'listening');
  return server;
}
