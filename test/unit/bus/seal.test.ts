import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MessageOpener, MessageSealer, SEAL_SALT_BYTES, sealBytes, senderOf } from '../../../src/bus/seal.js';

const SECRET = 'a secret of the fleet';
const SENDER = { id: 'wörker-1', incarnation: '0001-abcd' };
const SALT = Buffer.alloc(SEAL_SALT_BYTES, 1);
const payload = Buffer.from('token ids: 17 4 99');

function sealed(secret = SECRET) {
  return Buffer.from(new MessageSealer(secret, SENDER, SALT).seal('fleet.node.x', 'fleet.reply', payload));
}

function open(bytes: Uint8Array, subject = 'fleet.node.x', reply = 'fleet.reply', secret = SECRET) {
  const envelope = MessageOpener.peek(bytes);
  return envelope && new MessageOpener(secret, 4).open(envelope, subject, reply, bytes);
}

describe('a sealed message', () => {
  test('is opened with the same secret, and names its sender and counter', () => {
    const bytes = sealed();
    const envelope = MessageOpener.peek(bytes)!;
    expect(envelope.counter).toBe(1);
    expect(senderOf(envelope)).toEqual(SENDER);
    expect(open(bytes)).toEqual(payload);
    expect(bytes.byteLength).toBeLessThanOrEqual(payload.byteLength + sealBytes(SENDER));
    expect(bytes.includes(payload)).toBe(false);
  });

  test('is refused for another secret, subject or reply', () => {
    expect(open(sealed(), 'fleet.node.x', 'fleet.reply', 'another secret')).toBeNull();
    expect(open(sealed(), 'fleet.node.y')).toBeNull();
    expect(open(sealed(), 'fleet.node.x', '')).toBeNull();
  });

  test('is refused with any byte changed, cut short, or made longer', () => {
    const bytes = sealed();
    for (let at = 0; at < bytes.byteLength; at++) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1;
      expect(open(changed), `byte ${at}`).toBeNull();
      expect(open(bytes.subarray(0, at)), `cut at ${at}`).toBeNull();
    }
    expect(open(Buffer.concat([bytes, Buffer.alloc(1)]))).toBeNull();
  });

  test('of random bytes is refused without a throw', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => open(bytes) === null));
  });

  test('carries the next number of its sealer', () => {
    const sealer = new MessageSealer(SECRET, SENDER, SALT);
    const counters = [1, 2, 3].map(() => MessageOpener.peek(sealer.seal('a', '', payload))!.counter);
    expect(counters).toEqual([1, 2, 3]);
    expect(sealer.counter).toBe(3);
  });

  test('uses a different key for each salt, sender and use', () => {
    const shift = { id: SENDER.id.slice(0, -1), incarnation: SENDER.id.slice(-1) + SENDER.incarnation };
    const sealers = [
      new MessageSealer(SECRET, SENDER, SALT),
      new MessageSealer(SECRET, SENDER, Buffer.alloc(SEAL_SALT_BYTES, 2)),
      new MessageSealer(SECRET, shift, SALT),
      new MessageSealer(SECRET, SENDER, SALT, 'values'),
    ];
    const texts = sealers.map((sealer) => {
      const bytes = sealer.seal('s', '', payload);
      return Buffer.from(bytes.subarray(MessageOpener.peek(bytes)!.headBytes)).toString('hex');
    });
    expect(new Set(texts).size).toBe(sealers.length);
  });

  test('is opened even after its key was evicted from the cache', () => {
    const opener = new MessageOpener(SECRET, 2);
    for (const id of ['a', 'b', 'c', 'a']) {
      const bytes = new MessageSealer(SECRET, { id, incarnation: '1' }, SALT).seal('s', '', payload);
      expect(opener.open(MessageOpener.peek(bytes)!, 's', '', bytes)).toEqual(payload);
    }
  });
});
