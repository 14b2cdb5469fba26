import { once } from 'node:events';
import net from 'node:net';
import { type Prelude, packFrame } from '../../../../src/peer/wire/frame.js';
import { FrameReader } from '../../../../src/peer/wire/frame-reader.js';
import { ClientHandshake, type PeerIdentity, ServerHandshake } from '../../../../src/peer/wire/handshake.js';
import {
  type ClientMessage,
  type Direction,
  fromClient,
  fromServer,
  type Message,
  type ServerMessage,
} from '../../../../src/peer/wire/messages.js';
import { ALICE, BOB, SECRET } from './pair.js';

/** One end of a connection that says what a test wants, in whatever order, right or wrong. */
export class RawPeer<In extends { type: string }, Out extends { type: string }> {
  readonly closed: Promise<void>;
  private readonly heard: { request: number; message: In }[] = [];
  private readonly waiting: (() => void)[] = [];

  constructor(
    readonly socket: net.Socket,
    incoming: Direction<In>,
    private readonly outgoing: Direction<Out>,
  ) {
    let current: { request: number; message: In } | null = null;
    const reader = new FrameReader({
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
    });
    reader.widen();
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

export type RawClient = RawPeer<ServerMessage, ClientMessage>;
export type RawServer = RawPeer<ClientMessage, ServerMessage>;

/** Connects to a server, and says nothing. */
export async function rawClient(unixPath: string): Promise<RawClient> {
  const socket = net.connect(unixPath);
  await once(socket, 'connect');
  return new RawPeer(socket, fromServer, fromClient);
}

/** Connects to a server and proves itself. */
export async function provedClient(
  unixPath: string,
  identity: PeerIdentity = ALICE,
  secret = SECRET,
): Promise<RawClient> {
  const client = await rawClient(unixPath);
  const handshake = new ClientHandshake(identity, BOB, secret, new Uint8Array(32).fill(1));
  client.send(0, handshake.hello);
  client.send(0, handshake.prove((await client.next('challenge')).message));
  handshake.accept((await client.next('welcome')).message);
  return client;
}

/** A server that proves itself as Bob to the first client, and then does as the test says. */
export async function provedServer(
  unixPath: string,
  then: (peer: RawServer, proof: Message<ClientMessage, 'proof'>) => void | Promise<void>,
): Promise<net.Server> {
  const server = net.createServer(async (socket) => {
    const peer: RawServer = new RawPeer(socket, fromClient, fromServer);
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
