import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { Corrupt, InternalError } from '../../../src/errors.js';
import { decode, encode } from '../../../src/wire/msgpack.js';
import { WIRE_VALUE_DEPTH } from '../../../src/wire/msgpack-reader.js';

const key = fc.string().filter((name) => name !== '__proto__');
const plain = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.constant(undefined),
    fc.boolean(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }),
    fc.string({ unit: 'binary' }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(key, tie('value'), { maxKeys: 20 }),
  ),
})).value;

/** Buffers, which vitest does not take for equal to other Uint8Arrays, and -0, which travels as the integer that it equals. */
function normal(value: unknown): unknown {
  if (value === 0) return 0;
  if (value instanceof Uint8Array) return Array.from(value);
  if (Array.isArray(value)) return value.map(normal);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, normal(item)]));
}

describe('encode and decode', () => {
  it('round-trip every plain value', () => {
    fc.assert(
      fc.property(plain, (value) => {
        expect(normal(decode(encode(value)))).toEqual(normal(value));
      }),
    );
  });

  it('round-trip long strings, bytes, arrays and maps', () => {
    const value = {
      text: 'ü'.repeat(70_000),
      bytes: new Uint8Array(70_000).fill(7),
      list: Array.from({ length: 70_000 }, (_, i) => i),
      map: Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, i])),
    };
    expect(normal(decode(encode(value)))).toEqual(normal(value));
  });

  it('produce messages that do not depend on earlier ones', () => {
    const first = encode({ a: 1, b: 2 });
    for (let i = 0; i < 5; i++) expect(encode({ a: 1, b: 2 })).toEqual(first);
  });

  it('copy byte strings out of the message', () => {
    const message = encode({ bytes: Uint8Array.of(1, 2, 3) });
    const { bytes } = decode(message) as { bytes: Uint8Array };
    message.fill(0);
    expect(Array.from(bytes)).toEqual([1, 2, 3]);
  });
});

describe('encode', () => {
  class Point {
    x = 1;
  }
  const cycle: unknown[] = [];
  cycle.push(cycle);

  it.each([
    ['a function', { a: [() => 1] }, 'a.0'],
    ['a symbol', { a: Symbol('s') }, 'a'],
    ['a bigint', [1n], '0'],
    ['a class instance', { point: new Point() }, 'point'],
    ['a date', new Date(0), 'the top'],
    ['a Map', new Map(), 'the top'],
    ['a typed array other than bytes', { x: new Float32Array(2) }, 'x'],
    ['a cycle', cycle, 'levels'],
  ])('refuses %s and says where it is', (_, value, where) => {
    expect(() => encode(value)).toThrow(InternalError);
    expect(() => encode(value)).toThrow(where);
  });
});

describe('decode', () => {
  it('refuses every truncation', () => {
    const message = encode({ a: [1, 'two', Uint8Array.of(3), { b: 4.5, c: undefined }], d: 'x'.repeat(300) });
    for (let length = 0; length < message.byteLength; length++) {
      expect(() => decode(message.subarray(0, length))).toThrow(Corrupt);
    }
  });

  it('refuses bytes after the value', () => {
    expect(() => decode(Uint8Array.of(0xc0, 0xc0))).toThrow('ends after 1');
  });

  it('returns a value or throws Corrupt for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(Corrupt);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['a record definition', new Packr({ useRecords: true }).pack({ a: 1 })],
    ['a date', new Packr().pack(new Date(0))],
    ['a Set', new Packr({ moreTypes: true }).pack(new Set([1]))],
    ['a RegExp', new Packr({ moreTypes: true }).pack(/a/)],
    ['an Error', new Packr({ moreTypes: true }).pack(new Error('x'))],
    ['a 64-bit integer', new Packr().pack(5n)],
    ['a map with a number as key', Uint8Array.of(0x81, 0x01, 0x02)],
    ['the unused format', Uint8Array.of(0xc1)],
  ])('refuses %s', (_, bytes) => {
    expect(() => decode(bytes)).toThrow(Corrupt);
  });

  it('refuses a small message that claims a long array before allocating memory', () => {
    expect(() => decode(Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff))).toThrow(Corrupt);
    expect(() => decode(Uint8Array.of(0xdf, 0xff, 0xff, 0xff, 0xff))).toThrow(Corrupt);
  });

  it('refuses excessive nesting', () => {
    const nest = (depth: number) => Uint8Array.from([...Array(depth).fill(0x91), 0xc0]);
    expect(() => decode(nest(WIRE_VALUE_DEPTH))).not.toThrow();
    expect(() => decode(nest(WIRE_VALUE_DEPTH + 1))).toThrow('deeper');
    expect(() => decode(nest(500_000))).toThrow('deeper');
  });

  it('does not let a map touch the prototype', () => {
    const bytes = new Packr({ useRecords: false }).pack({ ['__proto__']: { polluted: true } });
    decode(bytes);
    const named = Buffer.concat([
      Uint8Array.of(0x81, 0xa9),
      Buffer.from('__proto__'),
      Uint8Array.of(0x81, 0xa1, 0x78, 0x01),
    ]);
    const value = decode(named) as Record<string, unknown>;
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(value.x).toBeUndefined();
  });
});
