import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidRequest } from '../../../src/errors.js';
import { RemoteError } from '../../../src/index.js';
import { ErrorClasses, packThrown } from '../../../src/runtime/values/error-value.js';
import { NO_HOOKS, packValue, unpackValue } from '../../../src/runtime/values/value.js';
import { decode, encode } from '../../../src/wire/msgpack.js';

function sent<T>(value: T): T {
  const { plain, tagged } = packValue(value, NO_HOOKS);
  return unpackValue(decode(encode(plain)), tagged, NO_HOOKS) as T;
}

function thrown(value: unknown): Error {
  return new ErrorClasses().rebuild(decode(encode(packThrown(value))) as never);
}

describe('values in messages', () => {
  it('arrive as they are, also those that MessagePack has no form for', () => {
    for (const value of [
      -0,
      0,
      Number.NaN,
      Number.NEGATIVE_INFINITY,
      '\ud800',
      'a\udfff b',
      '\ud83d\ude00',
      ['\udc00', -0],
    ]) {
      expect(sent(value)).toEqual(value);
      expect(sent({ list: [value], map: new Map([[value, new Set([value])]]) })).toEqual({
        list: [value],
        map: new Map([[value, new Set([value])]]),
      });
    }
    expect(Object.is(sent([-0])[0], -0)).toBe(true);
    expect(Object.is(sent(-0), -0)).toBe(true);
    expect(() => sent({ '\ud800': 1 })).toThrow(InvalidRequest);
  });

  it('of any shape arrive as they are', () => {
    const key = fc.string({ unit: 'grapheme' }).filter((text) => text !== '__proto__');
    const leaf = fc.oneof(fc.double(), fc.bigInt(), fc.string({ unit: 'binary' }), fc.boolean(), fc.constant(null));
    const lone = fc.array(fc.integer({ min: 0xd7f0, max: 0xe010 })).map((units) => String.fromCharCode(...units));
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        leaf,
        lone,
        fc.array(tie('tree')),
        fc.dictionary(key, tie('tree'), { noNullPrototype: true }),
      ),
    }));
    fc.assert(
      fc.property(tree, (value) => {
        expect(sent(value)).toEqual(value);
      }),
    );
  });
});

describe('what user code throws', () => {
  it('is an error with the fields of the object that was thrown', () => {
    const error = thrown({ status: 404, detail: { path: ['a', 1], zero: -0 }, cause: new RangeError('below') });
    expect(error).toBeInstanceOf(RemoteError);
    expect(error).toMatchObject({ name: 'Object', status: 404, detail: { path: ['a', 1], zero: -0 } });
    expect(error.cause).toBeInstanceOf(RangeError);
    expect(thrown({ message: 'no such page', status: 404 })).toMatchObject({ message: 'no such page', status: 404 });
    expect(thrown('a text').message).toBe('a text');
    expect(thrown(undefined).message).toBe('undefined');
    expect(thrown(Object.create(null)).name).toBe('Object');
  });
});
