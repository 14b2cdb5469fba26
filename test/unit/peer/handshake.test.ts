import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Refused } from '../../../src/errors.js';
import {
  ClientHandshake,
  type PeerIdentity,
  PURPOSES,
  type Purpose,
  ServerHandshake,
} from '../../../src/peer/wire/handshake.js';

const SECRET = 'known to both';
const ALICE: PeerIdentity = { id: 'alice', incarnation: '0001', fingerprint: 'a'.repeat(64) };
const BOB: PeerIdentity = { id: 'bob', incarnation: '0007', fingerprint: 'a'.repeat(64) };

let nonces = 0;
const nonce = () => new Uint8Array(32).fill(++nonces);

function sides(
  change: { client?: string; server?: string; alice?: PeerIdentity; wanted?: PeerIdentity; purpose?: Purpose } = {},
) {
  return {
    client: new ClientHandshake(
      change.alice ?? ALICE,
      change.wanted ?? BOB,
      change.purpose ?? 'blocks',
      change.client ?? SECRET,
      nonce(),
    ),
    server: new ServerHandshake(BOB, change.server ?? SECRET, nonce()),
  };
}

/** What each side makes of the other. */
function shake({ client, server }: ReturnType<typeof sides>) {
  const proof = client.prove(server.answer(client.hello));
  const { welcome, peer, purpose } = server.accept(proof);
  return { atServer: peer, atClient: client.accept(welcome), purpose };
}

describe('the handshake', () => {
  it.each(PURPOSES)('tells each side the identity of the other, and the server the purpose %s', (purpose) => {
    expect(shake(sides({ purpose }))).toEqual({ atServer: ALICE, atClient: BOB, purpose });
  });

  it('is refused by a server with another secret, which discloses no MAC', () => {
    expect(() => shake(sides({ client: 'a guess' }))).toThrow(Refused);
    expect(() => shake(sides({ client: 'a guess' }))).not.toThrow(/a guess|known to both|aaaa/);
  });

  it('is refused by a client that was welcomed without the secret', () => {
    const { client, server } = sides();
    client.prove(server.answer(client.hello));
    const impostor = new ServerHandshake(BOB, 'a guess', nonce());
    const guessing = new ClientHandshake(ALICE, BOB, 'blocks', 'a guess', nonce());
    const { welcome } = impostor.accept(guessing.prove(impostor.answer(guessing.hello)));
    expect(() => client.accept(welcome)).toThrow('another cluster secret');
  });

  it('is refused if the fingerprints differ, with both named', () => {
    const alice = { ...ALICE, fingerprint: 'c'.repeat(64) };
    expect(() => shake(sides({ alice }))).toThrow(/c{64}.*a{64}/s);
    expect(() => shake(sides({ alice }))).toThrow(Refused);
  });

  it.each([
    ['worker', { ...BOB, id: 'carol' }, /carol.*bob/],
    ['incarnation', { ...BOB, incarnation: '0006' }, /0006.*another incarnation/],
  ])('is refused if another %s was meant, which is named', (_, wanted, names) => {
    expect(() => shake(sides({ wanted }))).toThrow(names);
    expect(() => shake(sides({ wanted }))).toThrow(Refused);
  });

  it('cannot be replayed to a server, since its nonce is new', () => {
    const { client, server } = sides();
    const proof = client.prove(server.answer(client.hello));
    server.accept(proof);
    const again = new ServerHandshake(BOB, SECRET, nonce());
    again.answer(client.hello);
    expect(() => again.accept(proof)).toThrow('another cluster secret');
  });

  it('cannot be replayed to a client', () => {
    const recorded = sides();
    const challenge = recorded.server.answer(recorded.client.hello);
    const { welcome } = recorded.server.accept(recorded.client.prove(challenge));
    const client = new ClientHandshake(ALICE, BOB, 'blocks', SECRET, nonce());
    client.prove(challenge);
    expect(() => client.accept(welcome)).toThrow('another cluster secret');
  });

  it('cannot be answered by sending its own MAC back', () => {
    const { client, server } = sides();
    const proof = client.prove(server.answer(client.hello));
    expect(() => client.accept({ type: 'welcome', ...BOB, mac: proof.mac })).toThrow(Refused);
  });

  it('refuses a proof before a hello, and a welcome before a challenge', () => {
    const { client, server } = sides();
    expect(() => server.accept({ type: 'proof', mac: new Uint8Array(32) })).toThrow(Refused);
    expect(() => client.accept({ type: 'welcome', ...BOB, mac: new Uint8Array(32) })).toThrow(Refused);
  });

  it('refuses a change of any field on the way', () => {
    const fields = ['id', 'incarnation', 'fingerprint', 'nonce', 'wantedId', 'wantedIncarnation'] as const;
    const changed = (value: string | Uint8Array) =>
      typeof value === 'string' ? `${value.slice(1)}x` : value.map((byte) => byte ^ 1);
    for (const field of fields) {
      const { client, server } = sides();
      const hello = { ...client.hello, [field]: changed(client.hello[field]) };
      const proof = client.prove(server.answer(hello));
      expect(() => server.accept(proof)).toThrow('another cluster secret');
    }
    const { client, server } = sides();
    const challenge = server.answer(client.hello);
    const proof = client.prove({ ...challenge, nonce: changed(challenge.nonce) as Uint8Array });
    expect(() => server.accept(proof)).toThrow('another cluster secret');
    for (const field of ['id', 'incarnation', 'fingerprint'] as const) {
      const one = sides();
      const { welcome } = one.server.accept(one.client.prove(one.server.answer(one.client.hello)));
      expect(() => one.client.accept({ ...welcome, [field]: changed(welcome[field]) })).toThrow(
        'another cluster secret',
      );
    }
  });

  it('tells a client that has proved nothing no more than a nonce', () => {
    const { client, server } = sides();
    expect(Object.keys(server.answer(client.hello))).toEqual(['type', 'nonce']);
  });

  it('binds the purpose: a purpose that was changed after the MAC is refused', () => {
    for (const [said, heard] of [PURPOSES, PURPOSES.toReversed()]) {
      const { client, server } = sides({ purpose: said! });
      const proof = client.prove(server.answer({ ...client.hello, purpose: heard! }));
      expect(() => server.accept(proof)).toThrow('another cluster secret');
    }
  });

  it('has the MACs that docs/PEER-PROTOCOL.md specifies', () => {
    const client = new ClientHandshake(ALICE, BOB, 'calls', SECRET, new Uint8Array(32).fill(1));
    const server = new ServerHandshake(BOB, SECRET, new Uint8Array(32).fill(2));
    const field = (value: string | Uint8Array) => {
      const bytes = Buffer.from(value as string);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return Buffer.concat([length, bytes]);
    };
    const hello = ['alice', '0001', ALICE.fingerprint, new Uint8Array(32).fill(1), 'bob', '0007', 'calls'];
    const common = ['shoal-peer-3', ...hello, new Uint8Array(32).fill(2)];
    const macOf = (role: string, fields: readonly (string | Uint8Array)[]) =>
      createHmac('sha256', SECRET)
        .update(role)
        .update(Buffer.concat(fields.map(field)))
        .digest();
    const proof = client.prove(server.answer(client.hello));
    expect(Buffer.from(proof.mac)).toEqual(macOf('c', common));
    const identity = ['bob', '0007', BOB.fingerprint];
    expect(Buffer.from(server.accept(proof).welcome.mac)).toEqual(macOf('s', [...common, ...identity]));
  });

  it('does not take fields that were cut elsewhere for the same', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 2, maxLength: 20 }), fc.nat(), fc.nat(), (text, a, b) => {
        const [one, two] = [a, b].map((cut) => 1 + (cut % (text.length - 1)));
        fc.pre(one !== two);
        const at = (cut: number) => ({ ...ALICE, id: text.slice(0, cut), incarnation: text.slice(cut) });
        const client = new ClientHandshake(at(one!), BOB, 'blocks', SECRET, new Uint8Array(32));
        const server = new ServerHandshake(BOB, SECRET, new Uint8Array(32));
        const other = new ClientHandshake(at(two!), BOB, 'blocks', SECRET, new Uint8Array(32));
        const proof = client.prove(server.answer(other.hello));
        expect(() => server.accept(proof)).toThrow(Refused);
      }),
    );
  });
});
