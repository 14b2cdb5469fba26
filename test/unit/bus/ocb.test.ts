import { createCipheriv } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OCB_EXTRA_BYTES, Ocb, ocbBytes } from '../../../src/bus/ocb.js';

const KEY = Buffer.alloc(32, 7);

/** A text, encrypted by OpenSSL. */
function byOpenSsl(key: Uint8Array, nonce: number, associated: Uint8Array, text: Uint8Array): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeBigUInt64BE(BigInt(nonce), 4);
  const cipher = createCipheriv('aes-256-ocb', key, bytes, { authTagLength: 16 });
  cipher.setAAD(associated);
  const padded = Buffer.concat([text, Buffer.of(0x80), Buffer.alloc(15 - (text.byteLength % 16))]);
  return Buffer.concat([cipher.update(padded), cipher.final(), cipher.getAuthTag()]);
}

function seal(ocb: Ocb, nonce: number, associated: Uint8Array, text: Uint8Array): Buffer {
  const sealed = Buffer.alloc(ocbBytes(text.byteLength));
  ocb.seal(nonce, ocb.hash(associated), text, sealed, 0);
  return sealed;
}

const nonces = fc.oneof(fc.nat(200), fc.maxSafeNat());
/** Among them those of about the memory that messages share. */
const texts = fc
  .tuple(fc.oneof(fc.nat(100), fc.integer({ min: 16_200, max: 16_400 })), fc.nat(255))
  .map(([length, first]) => Buffer.from(Array.from({ length }, (_, i) => first + i * i)));

describe('OCB', () => {
  test('encrypts as OpenSSL does, and decrypts that', () => {
    const ocb = new Ocb(KEY);
    const property = fc.property(nonces, fc.uint8Array({ maxLength: 70 }), texts, (nonce, associated, text) => {
      const sealed = seal(ocb, nonce, associated, text);
      expect(sealed.equals(byOpenSsl(KEY, nonce, associated, text))).toBe(true);
      expect(text.equals(ocb.open(nonce, ocb.hash(associated), sealed, 0)!)).toBe(true);
    });
    fc.assert(property);
  });

  test('encrypts and decrypts a megabyte', () => {
    const text = Buffer.alloc(2 ** 20, 'shoal');
    const sealed = seal(new Ocb(KEY), 5, KEY, text);
    expect(sealed.equals(byOpenSsl(KEY, 5, KEY, text))).toBe(true);
    const ocb = new Ocb(KEY);
    expect(Buffer.compare(ocb.open(5, ocb.hash(KEY), sealed, 0)!, text)).toBe(0);
  });

  test('works at any position in memory', () => {
    const text = Buffer.from('a text of more than one block').subarray(1);
    const at = 3;
    const sealed = Buffer.alloc(at + ocbBytes(text.byteLength));
    const ocb = new Ocb(KEY);
    const hash = ocb.hash(KEY);
    ocb.seal(9, hash, text, sealed, at);
    expect(ocb.open(9, hash, sealed, at)).toEqual(text);
    expect(ocbBytes(text.byteLength)).toBeLessThanOrEqual(text.byteLength + OCB_EXTRA_BYTES);
  });

  test('rejects another key, nonce or associated data, a changed bit, and a wrong length', () => {
    const associated = Buffer.from('fleet.node.x');
    const sealed = seal(new Ocb(KEY), 3, associated, Buffer.from('a text of more than one block'));
    const ocb = new Ocb(KEY);
    expect(ocb.open(3, ocb.hash(associated), sealed, 0)).not.toBeNull();
    const other = new Ocb(Buffer.alloc(32, 8));
    expect(other.open(3, other.hash(associated), sealed, 0)).toBeNull();
    expect(ocb.open(4, ocb.hash(associated), sealed, 0)).toBeNull();
    expect(ocb.open(3, ocb.hash(associated.subarray(1)), sealed, 0)).toBeNull();
    for (let length = 0; length < sealed.byteLength; length++) {
      expect(ocb.open(3, ocb.hash(associated), sealed.subarray(0, length), 0), `length ${length}`).toBeNull();
    }
    for (let bit = 0; bit < 8 * sealed.byteLength; bit++) {
      const changed = Buffer.from(sealed);
      changed[bit >>> 3]! ^= 1 << (bit & 7);
      expect(ocb.open(3, ocb.hash(associated), changed, 0), `bit ${bit}`).toBeNull();
    }
  });

  test('keeps messages to the same object apart', () => {
    const ocb = new Ocb(KEY);
    const first = seal(ocb, 1, KEY, Buffer.from('the first text'));
    const opened = ocb.open(1, ocb.hash(KEY), first, 0);
    seal(ocb, 2, KEY, Buffer.from('another text, which is longer'));
    expect(opened).toEqual(Buffer.from('the first text'));
  });
});
