import { createHmac, timingSafeEqual } from 'node:crypto';
import { Refused } from '../../errors.js';
import type { ClientMessage, Message, ServerMessage } from './messages.js';

/** How two peers prove to each other that they know the cluster secret, as `docs/PEER-PROTOCOL.md` has it. Neither side does I/O or rolls dice. */

export const NONCE_BYTES = 32;

const TAG = 'shoal-peer-1';

/** Who a worker is, and what it can exchange blocks with. */
export interface PeerIdentity {
  readonly id: string;
  readonly incarnation: string;
  readonly fingerprint: string;
}

type Hello = Message<ClientMessage, 'hello'>;
type Proof = Message<ClientMessage, 'proof'>;
type Challenge = Message<ServerMessage, 'challenge'>;
type Welcome = Message<ServerMessage, 'welcome'>;

/** The side that dialled: `hello`, then `prove`, then `accept`. */
export class ClientHandshake {
  readonly hello: Hello;
  private challenge: Challenge | null = null;

  /** `nonce` is `NONCE_BYTES` of fresh randomness; `wanted` is whom the client means to have dialled. */
  constructor(
    self: PeerIdentity,
    wanted: { readonly id: string; readonly incarnation: string },
    private readonly secret: string,
    nonce: Uint8Array,
  ) {
    const { id, incarnation, fingerprint } = self;
    const wantedIncarnation = wanted.incarnation;
    this.hello = { type: 'hello', id, incarnation, fingerprint, nonce, wantedId: wanted.id, wantedIncarnation };
  }

  prove(challenge: Challenge): Proof {
    this.challenge = challenge;
    return { type: 'proof', mac: mac(this.secret, 'c', this.hello, challenge) };
  }

  /** @throws Refused if the server knows another secret, or is not the one that was meant. */
  accept(welcome: Welcome): PeerIdentity {
    if (!this.challenge || !equal(welcome.mac, mac(this.secret, 's', this.hello, this.challenge))) throw otherSecret();
    checkFit(this.hello, this.challenge);
    return identityOf(this.challenge);
  }
}

/** The side that was dialled: `answer`, then `accept`. */
export class ServerHandshake {
  private hello: Hello | null = null;
  private readonly challenge: Challenge;

  /** `nonce` is `NONCE_BYTES` of fresh randomness. */
  constructor(
    self: PeerIdentity,
    private readonly secret: string,
    nonce: Uint8Array,
  ) {
    const { id, incarnation, fingerprint } = self;
    this.challenge = { type: 'challenge', id, incarnation, fingerprint, nonce };
  }

  answer(hello: Hello): Challenge {
    this.hello = hello;
    return this.challenge;
  }

  /** @throws Refused if the client knows another secret, or meant somebody else, or does not fit. */
  accept(proof: Proof): { welcome: Welcome; peer: PeerIdentity } {
    if (!this.hello || !equal(proof.mac, mac(this.secret, 'c', this.hello, this.challenge))) throw otherSecret();
    checkFit(this.hello, this.challenge);
    const welcome: Welcome = { type: 'welcome', mac: mac(this.secret, 's', this.hello, this.challenge) };
    return { welcome, peer: identityOf(this.hello) };
  }
}

/** Source of the construction: RFC 2104 for HMAC; the challenge-response with roles and both nonces is that of ISO/IEC 9798-4, three passes. */
function mac(secret: string, role: 'c' | 's', hello: Hello, challenge: Challenge): Uint8Array {
  const hmac = createHmac('sha256', secret);
  hmac.update(role);
  const identity = (side: Hello | Challenge) => [side.id, side.incarnation, side.fingerprint, side.nonce];
  const fields = [TAG, ...identity(hello), hello.wantedId, hello.wantedIncarnation, ...identity(challenge)];
  const length = Buffer.alloc(4);
  for (const field of fields) {
    const bytes = typeof field === 'string' ? Buffer.from(field, 'utf8') : field;
    length.writeUInt32LE(bytes.byteLength);
    hmac.update(length).update(bytes);
  }
  return hmac.digest();
}

function checkFit(hello: Hello, challenge: Challenge): void {
  if (hello.fingerprint !== challenge.fingerprint) {
    throw new Refused(
      `workers ${hello.id} (fingerprint ${hello.fingerprint}) and ${challenge.id} (fingerprint ${challenge.fingerprint}) ` +
        `do not fit: run both with the same model, tokenizer and release`,
    );
  }
  if (hello.wantedId !== challenge.id || hello.wantedIncarnation !== challenge.incarnation) {
    throw new Refused(
      `worker ${hello.wantedId} (incarnation ${hello.wantedIncarnation}) was dialled and ${challenge.id} ` +
        `(incarnation ${challenge.incarnation}) answered: the address is out of date`,
    );
  }
}

function identityOf({ id, incarnation, fingerprint }: Hello | Challenge): PeerIdentity {
  return { id, incarnation, fingerprint };
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && timingSafeEqual(a, b);
}

function otherSecret(): Refused {
  return new Refused('the peer knows another cluster secret: give all workers of a fleet the same one');
}
