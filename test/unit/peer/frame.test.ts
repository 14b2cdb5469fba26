import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checksumOf } from '../../../src/digest.js';
import { Corrupt, Refused } from '../../../src/errors.js';
import { checkHeader, checkLengths, PRELUDE_BYTES, packFrame, readPrelude } from '../../../src/peer/wire/frame.js';

const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const frame = fc.record({
  type: fc.integer({ min: 0, max: 255 }),
  request: uint32,
  header: fc.uint8Array({ maxLength: 200 }),
  payloadBytes: uint32,
});

function read(bytes: Uint8Array) {
  const prelude = readPrelude(bytes.subarray(0, PRELUDE_BYTES));
  const header = bytes.subarray(PRELUDE_BYTES, PRELUDE_BYTES + prelude.headerBytes);
  checkHeader(prelude, header);
  return { ...prelude, header };
}

describe('a frame', () => {
  it('is read as it was packed', () => {
    fc.assert(
      fc.property(frame, ({ type, request, header, payloadBytes }) => {
        const bytes = packFrame(type, request, header, payloadBytes);
        expect(bytes.byteLength).toBe(PRELUDE_BYTES + header.byteLength);
        const got = read(bytes);
        expect(got).toMatchObject({ type, request, payloadBytes, headerBytes: header.byteLength });
        expect(Array.from(got.header)).toEqual(Array.from(header));
      }),
    );
  });

  it('is refused with any one byte of prelude or header changed in any way', () => {
    const bytes = packFrame(
      32,
      7,
      Uint8Array.from({ length: 90 }, (_, i) => i * 7),
      4 << 20,
    );
    for (let at = 0; at < bytes.byteLength; at++) {
      for (let change = 1; change < 256; change++) {
        const changed = Uint8Array.from(bytes);
        changed[at]! ^= change;
        expect(() => read(changed)).toThrow(Corrupt);
      }
    }
  });

  it('has the layout of the protocol', () => {
    const bytes = packFrame(20, 0x01020304, Uint8Array.of(0x80), 0);
    expect(Buffer.from(bytes).toString('hex')).toBe(
      `53484f41${'03'}${'14'}${'0000'}${'04030201'}${'01000000'}${'00000000'}${'f6d8be2d'}${'f3858ee8'}${'80'}`,
    );
  });

  it('of another version is refused by name', () => {
    const bytes = Buffer.from(packFrame(1, 0, new Uint8Array(0), 0));
    bytes[4] = 4;
    expect(() => readPrelude(bytes)).toThrow(Corrupt);
    bytes.writeUInt32LE(checksumOf(bytes.subarray(0, 24)), 24);
    expect(() => readPrelude(bytes)).toThrow(Refused);
    expect(() => readPrelude(bytes)).toThrow('version 4');
  });

  it('is refused if it is longer than it may be, or has not the payload that is due', () => {
    const prelude = readPrelude(packFrame(1, 0, new Uint8Array(100), 4096));
    expect(() => checkLengths(prelude, 100, 4096)).not.toThrow();
    expect(() => checkLengths(prelude, 99, 4096)).toThrow('header of 100 bytes');
    expect(() => checkLengths(prelude, 100, 0)).toThrow('payload of 4096 bytes');
    expect(() => checkLengths(prelude, 100, 4097)).toThrow(Corrupt);
  });
});
