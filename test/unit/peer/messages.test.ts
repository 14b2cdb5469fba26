import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BUCKET_DIGEST_BYTES, SUMMARY_BUCKETS } from '../../../src/core/anti-entropy.js';
import { Corrupt, ShoalError } from '../../../src/errors.js';
import {
  FRAME_HEADER_BYTES,
  PEER_BLOCKS_PINNED,
  PEER_KEYS_PER_REQUEST,
  PEER_OFFER_BLOCKS,
} from '../../../src/limits.js';
import { encode } from '../../../src/wire/msgpack.js';
import { blocksOf, FINGERPRINT, keyOf } from './support/host.js';
import { type AnyClientMessage, type AnyServerMessage, anyFromClient, anyFromServer } from './support/raw-peer.js';

const [first, second] = blocksOf('a', 2, 64);
const bytes = new Uint8Array(32).fill(5);
const identity = { id: 'alice', incarnation: '0001', fingerprint: FINGERPRINT, nonce: bytes };
const hello = { ...identity, wantedId: 'bob', wantedIncarnation: '0002', purpose: 'blocks' };

const CLIENT: AnyClientMessage[] = [
  { type: 'hello', ...identity, wantedId: 'bob', wantedIncarnation: '0002', purpose: 'blocks' },
  { type: 'proof', mac: bytes },
  { type: 'fetch', keys: [keyOf('a'), keyOf('b')] },
  { type: 'cancel' },
  { type: 'offer', blocks: [first!.block, second!.block] },
  { type: 'put', index: 3 },
  { type: 'ping' },
  { type: 'pin', keys: [keyOf('a'), keyOf('b')] },
  { type: 'unpin' },
  { type: 'compare', epoch: 'abcdef012345', digests: new Uint8Array(4 * BUCKET_DIGEST_BYTES).fill(9) },
  { type: 'repair', blocks: [first!.block, second!.block] },
];
const SERVER: AnyServerMessage[] = [
  { type: 'challenge', nonce: bytes },
  { type: 'welcome', id: 'bob', incarnation: '0002', fingerprint: FINGERPRINT, mac: bytes },
  { type: 'block', block: second!.block },
  { type: 'missing', key: keyOf('a') },
  { type: 'done' },
  { type: 'wanted', wanted: [0, 2], held: [1] },
  { type: 'stored', index: 1, error: null },
  { type: 'stored', index: 1, error: { code: 'overloaded', message: 'full' } },
  { type: 'pong' },
  { type: 'error', code: 'invalid', message: 'no', param: 'keys' },
  {
    type: 'pinned',
    blocks: [first!, second!].map(({ block }, i) => ({ block, place: { fileDescriptor: 7, offset: i * 2 ** 40 } })),
  },
  { type: 'unshared' },
  { type: 'compared', differing: [0, SUMMARY_BUCKETS - 1] },
  { type: 'compared', differing: null },
];

/** Byte strings come back as Buffers, which vitest does not take for equal to other Uint8Arrays. */
const normal = (message: unknown) => structuredClone(message);

describe('messages', () => {
  it.each(CLIENT)('of a client are read as they were packed: $type', (message) => {
    const { code, header } = anyFromClient.pack(message);
    expect(normal(anyFromClient.read(anyFromClient.typeOf(code), header))).toEqual(normal(message));
  });

  it.each(SERVER)('of a server are read as they were packed: $type', (message) => {
    const { code, header } = anyFromServer.pack(message);
    expect(normal(anyFromServer.read(anyFromServer.typeOf(code), header))).toEqual(normal(message));
  });

  it('fit their frames at their largest', () => {
    const keys = Array.from({ length: PEER_KEYS_PER_REQUEST }, (_, i) => keyOf(`${i}`));
    expect(anyFromClient.pack({ type: 'fetch', keys }).header.byteLength).toBeLessThanOrEqual(FRAME_HEADER_BYTES);
    const place = { fileDescriptor: 7, offset: 0 };
    const pinned = blocksOf('a', PEER_BLOCKS_PINNED, 64).map(({ block }) => ({ block, place }));
    expect(anyFromServer.pack({ type: 'pinned', blocks: pinned }).header.byteLength).toBeLessThanOrEqual(
      FRAME_HEADER_BYTES,
    );
    const blocks = blocksOf('a', PEER_OFFER_BLOCKS, 64).map(({ block }) => block);
    expect(anyFromClient.pack({ type: 'offer', blocks }).header.byteLength).toBeLessThanOrEqual(FRAME_HEADER_BYTES);
    const digests = new Uint8Array(SUMMARY_BUCKETS * BUCKET_DIGEST_BYTES);
    const compare = anyFromClient.pack({ type: 'compare', epoch: 'e'.repeat(64), digests });
    expect(compare.header.byteLength).toBeLessThanOrEqual(FRAME_HEADER_BYTES);
    const differing = Array.from({ length: SUMMARY_BUCKETS }, (_, i) => i);
    const compared = anyFromServer.pack({ type: 'compared', differing });
    expect(compared.header.byteLength).toBeLessThanOrEqual(FRAME_HEADER_BYTES);
  });

  it('have no codes that the other direction uses', () => {
    for (const message of SERVER) expect(() => anyFromClient.typeOf(anyFromServer.pack(message).code)).toThrow(Corrupt);
    for (const message of CLIENT) expect(() => anyFromServer.typeOf(anyFromClient.pack(message).code)).toThrow(Corrupt);
  });

  it.each<[string, AnyClientMessage['type'], unknown]>([
    ['a field too many', 'ping', { extra: 1 }],
    ['a field too few', 'put', {}],
    ['a key of a wrong length', 'fetch', { keys: new Uint8Array(33) }],
    ['no keys', 'fetch', { keys: new Uint8Array(0) }],
    ['too many keys', 'fetch', { keys: new Uint8Array(32 * (PEER_KEYS_PER_REQUEST + 1)) }],
    ['keys as text', 'fetch', { keys: 'a'.repeat(64) }],
    ['a negative position', 'put', { index: -1 }],
    ['a position that is no integer', 'put', { index: 0.5 }],
    ['a short nonce', 'hello', { ...hello, nonce: new Uint8Array(31) }],
    ['no purpose', 'hello', { ...identity, wantedId: 'bob', wantedIncarnation: '0002' }],
    ['an unknown purpose', 'hello', { ...hello, purpose: 'tea' }],
    ['a purpose of another type', 'hello', { ...hello, purpose: 1 }],
    ['an offer of nothing', 'offer', { blocks: [] }],
    ['a repair of nothing', 'repair', { blocks: new Uint8Array(0) }],
    ['a summary of nothing', 'compare', { epoch: '', digests: new Uint8Array(0) }],
    ['a summary of three buckets', 'compare', { epoch: '', digests: new Uint8Array(3 * BUCKET_DIGEST_BYTES) }],
    ['a part of a digest', 'compare', { epoch: '', digests: new Uint8Array(BUCKET_DIGEST_BYTES + 1) }],
    [
      'a summary that is too long',
      'compare',
      { epoch: '', digests: new Uint8Array(2 * SUMMARY_BUCKETS * BUCKET_DIGEST_BYTES) },
    ],
    ['an epoch that is too long', 'compare', { epoch: 'e'.repeat(65), digests: new Uint8Array(BUCKET_DIGEST_BYTES) }],
    ['no epoch', 'compare', { digests: new Uint8Array(BUCKET_DIGEST_BYTES) }],
    ['a list in place of a map', 'ping', []],
    ['null in place of a map', 'ping', null],
  ])('with %s are refused', (_, type, header) => {
    expect(() => anyFromClient.read(type, encode(header))).toThrow(Corrupt);
  });

  it('of random headers are refused with an error of ours', () => {
    const types = CLIENT.map(({ type }) => type).filter((type) => !['cancel', 'ping', 'unpin'].includes(type));
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.uint8Array({ maxLength: 200 }), (type, header) => {
        expect(() => anyFromClient.read(type, header)).toThrow(ShoalError);
      }),
    );
  });
});
