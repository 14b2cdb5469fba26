import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { Refused } from '../../errors.js';
import { Bytes, Direction, ERROR, kind, type MessageOf } from './message-format.js';

/**
 * How two peers prove that they know the cluster secret, and agree on a purpose. `docs/PEER-PROTOCOL.md` specifies it. Neither side does I/O
 * or draws random numbers here.
 */

export const NONCE_BYTES = 32;

const TAG = 'shoal-peer-3';

/**
 * Which frames a connection carries after the handshake: requests for blocks, messages between actors, requests for objects, or requests for
 * files of the model. @internal exported for tests.
 */
export const PURPOSES = ['blocks', 'calls', 'objects', 'models'] as const;
export type Purpose = (typeof PURPOSES)[number];

/** The identity of one end of a connection: a worker, or a coordinator, which only dials. */
export interface PeerIdentity {
  readonly id: string;
  readonly incarnation: string;
  /** Ends with different fingerprints refuse each other: blocks of one mean nothing to the other. */
  readonly fingerprint: string;
}

const Name = z.string().min(1).max(128);
const Identity = { id: Name, incarnation: Name, fingerprint: z.string().length(64) };
const Nonce = { nonce: Bytes(NONCE_BYTES) };
const Mac = { mac: Bytes(32) };

const CLIENT = {
  hello: kind(
    1,
    z.strictObject({ ...Identity, ...Nonce, wantedId: Name, wantedIncarnation: Name, purpose: z.enum(PURPOSES) }),
  ),
  proof: kind(3, z.strictObject(Mac)),
};

const SERVER = {
  /** Every client gets it, so it says nothing about the server. */
  challenge: kind(2, z.strictObject(Nonce)),
  welcome: kind(4, z.strictObject({ ...Identity, ...Mac })),
  error: ERROR,
};

export type ClientHandshakeMessage = MessageOf<typeof CLIENT>;
export type ServerHandshakeMessage = MessageOf<typeof SERVER>;

export const handshakeFromClient = new Direction<ClientHandshakeMessage>(CLIENT);
export const handshakeFromServer = new Direction<ServerHandshakeMessage>(SERVER);

type Hello = Extract<ClientHandshakeMessage, { type: 'hello' }>;
type Proof = Extract<ClientHandshakeMessage, { type: 'proof' }>;
type Challenge = Extract<ServerHandshakeMessage, { type: 'challenge' }>;
type Welcome = Extract<ServerHandshakeMessage, { type: 'welcome' }>;

/** The dialling side: `hello`, then `prove`, then `accept`. */
export class ClientHandshake {
  readonly hello: Hello;
  private challenge: Challenge | null = null;

  /** `wanted` is the worker that the client means to dial; `nonce` is `NONCE_BYTES` of fresh randomness. */
  constructor(
    self: PeerIdentity,
    wanted: { readonly id: string; readonly incarnation: string },
    purpose: Purpose,
    private readonly secret: string,
    nonce: Uint8Array,
  ) {
    const { id, incarnation, fingerprint } = self;
    const wantedIncarnation = wanted.incarnation;
    this.hello = {
      type: 'hello',
      id,
      incarnation,
      fingerprint,
      nonce,
      wantedId: wanted.id,
      wantedIncarnation,
      purpose,
    };
  }

  prove(challenge: Challenge): Proof {
    this.challenge = challenge;
    return { type: 'proof', mac: mac(this.secret, 'c', this.hello, challenge, null) };
  }

  /** Gives the server's identity. @throws Refused if the server knows another secret, or is not the worker that the client meant. */
  accept(welcome: Welcome): PeerIdentity {
    const { hello, challenge } = this;
    if (!challenge || !equal(welcome.mac, mac(this.secret, 's', hello, challenge, welcome))) throw otherSecret();
    checkFit(hello, welcome);
    return identityOf(welcome);
  }
}

/** The dialled side: `answer`, then `accept`. */
export class ServerHandshake {
  private hello: Hello | null = null;
  private readonly challenge: Challenge;

  /** `nonce` is `NONCE_BYTES` of fresh randomness. */
  constructor(
    private readonly self: PeerIdentity,
    private readonly secret: string,
    nonce: Uint8Array,
  ) {
    this.challenge = { type: 'challenge', nonce };
  }

  answer(hello: Hello): Challenge {
    this.hello = hello;
    return this.challenge;
  }

  /**
   * Gives the client's identity and the purpose that the client has proved.
   * @throws Refused if the client knows another secret, has another fingerprint, or meant another worker.
   */
  accept(proof: Proof): { readonly welcome: Welcome; readonly peer: PeerIdentity; readonly purpose: Purpose } {
    const { hello, challenge, secret, self } = this;
    if (!hello || !equal(proof.mac, mac(secret, 'c', hello, challenge, null))) throw otherSecret();
    checkFit(hello, self);
    const welcome: Welcome = {
      type: 'welcome',
      ...identityOf(self),
      mac: mac(secret, 's', hello, challenge, self),
    };
    return { welcome, peer: identityOf(hello), purpose: hello.purpose };
  }
}

/**
 * `server` is null in the client's MAC, since the client learns who the server is from the welcome.
 *
 * Sources: RFC 2104 for HMAC; ISO/IEC 9798-4, three passes, for the challenge-response with roles and both nonces.
 */
function mac(
  secret: string,
  role: 'c' | 's',
  hello: Hello,
  challenge: Challenge,
  server: PeerIdentity | null,
): Uint8Array {
  const hmac = createHmac('sha256', secret);
  hmac.update(role);
  const identity = (side: PeerIdentity) => [side.id, side.incarnation, side.fingerprint];
  const { nonce, wantedId, wantedIncarnation, purpose } = hello;
  const fields = [TAG, ...identity(hello), nonce, wantedId, wantedIncarnation, purpose, challenge.nonce];
  const length = Buffer.alloc(4);
  for (const field of [...fields, ...(server === null ? [] : identity(server))]) {
    const bytes = typeof field === 'string' ? Buffer.from(field, 'utf8') : field;
    length.writeUInt32LE(bytes.byteLength);
    hmac.update(length).update(bytes);
  }
  return hmac.digest();
}

/** The server's incarnation is not named: only members know it. */
function checkFit(hello: Hello, server: PeerIdentity): void {
  if (hello.fingerprint !== server.fingerprint) {
    throw new Refused(
      `cannot connect ${hello.id} (fingerprint ${hello.fingerprint}) to worker ${server.id} (fingerprint ` +
        `${server.fingerprint}): run both with the same model, tokenizer and release`,
    );
  }
  if (hello.wantedId !== server.id || hello.wantedIncarnation !== server.incarnation) {
    const found = hello.wantedId === server.id ? 'another incarnation of it' : `worker ${server.id}`;
    throw new Refused(
      `cannot connect to worker ${hello.wantedId} (incarnation ${hello.wantedIncarnation}): ${found} answered at its address`,
    );
  }
}

function identityOf({ id, incarnation, fingerprint }: PeerIdentity): PeerIdentity {
  return { id, incarnation, fingerprint };
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && timingSafeEqual(a, b);
}

function otherSecret(): Refused {
  return new Refused('the peer has another cluster secret; give all members of a fleet the same secret');
}
