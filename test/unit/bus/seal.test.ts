import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MessageOpener, MessageSealer, sealBytes } from '../../../src/bus/seal.js';

const SECRET = 'a secret of the fleet';
const SENDER = { id: 'wörker-1', incarnation: '0001-abcd' };
const payload = Buffer.from('token ids: 17 4 99');

function sealed(secret = SECRET) {
  return Buffer.from(new MessageSealer(secret, SENDER).seal('fleet.node.x', 'fleet.reply', payload));
}

function open(bytes: Uint8Array, subject = 'fleet.node.x', reply = 'fleet.reply', secret = SECRET) {
  const envelope = MessageOpener.peek(bytes);
  return envelope && new MessageOpener(secret, 4).open(envelope, subject, reply, bytes);
}

describe('a sealed message', () => {
  test('is opened with the same secret, and names its sender and counter', () => {
    const bytes = sealed();
    expect(MessageOpener.peek(bytes)).toEqual({ sender: SENDER, counter: 1 });
    expect(open(bytes)).toEqual(payload);
    expect(bytes.byteLength).toBe(payload.byteLength + sealBytes(SENDER));
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

  test('has a counter of its own among the messages of its sender', () => {
    const sealer = new MessageSealer(SECRET, SENDER);
    const counters = [1, 2, 3].map(() => MessageOpener.peek(sealer.seal('a', '', payload))!.counter);
    expect(counters).toEqual([1, 2, 3]);
    expect(sealer.counter).toBe(3);
  });

  test('is opened even after its key was evicted from the cache', () => {
    const opener = new MessageOpener(SECRET, 2);
    for (const id of ['a', 'b', 'c', 'a']) {
      const bytes = new MessageSealer(SECRET, { id, incarnation: '1' }).seal('s', '', payload);
      expect(opener.open(MessageOpener.peek(bytes)!, 's', '', bytes)).toEqual(payload);
    }
  });
});
