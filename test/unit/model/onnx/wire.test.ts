import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Corrupt } from '../../../../src/errors.js';
import { memorySource } from '../../../../src/model/onnx/byte-source.js';
import {
  BYTES,
  bytesField,
  FIXED32,
  fields,
  floatField,
  intField,
  join,
  readInts,
  VARINT,
  varint,
} from '../../../../src/model/onnx/wire.js';

const number = fc.integer({ min: 1, max: 2 ** 29 - 1 });
const message = fc.array(
  fc.oneof(
    fc.record({ number, wire: fc.constant(VARINT), int: fc.maxSafeInteger() }),
    fc.record({ number, wire: fc.constant(BYTES), bytes: fc.uint8Array({ maxLength: 300 }) }),
    fc.record({ number, wire: fc.constant(FIXED32), float: fc.float() }),
  ),
);

describe('protobuf wire format', () => {
  it('iterates over exactly the encoded fields', () => {
    fc.assert(
      fc.property(message, (written) => {
        const bytes = join(
          written.map((field) => {
            if ('int' in field) return intField(field.number, field.int);
            return 'bytes' in field ? bytesField(field.number, field.bytes) : floatField(field.number, field.float);
          }),
        );
        const source = memorySource(bytes);
        const walked = [...fields(source)];
        expect(walked.map(({ number, wire }) => ({ number, wire }))).toEqual(
          written.map(({ number, wire }) => ({ number, wire })),
        );
        written.forEach((field, i) => {
          const place = walked[i]!;
          if ('int' in field) expect(place.value).toBe(field.int);
          if ('bytes' in field) expect(source.read(place.payload, place.end)).toEqual(field.bytes);
        });
        expect(walked.at(-1)?.end ?? 0).toBe(bytes.length);
      }),
    );
  });

  it('throws only Corrupt for arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          let at = 0;
          for (const field of fields(memorySource(bytes))) {
            expect(field.start).toBe(at);
            expect(field.end).toBeLessThanOrEqual(bytes.length);
            at = field.end;
          }
          expect(at).toBe(bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(Corrupt);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses a field longer than its message', () => {
    const bytes = bytesField(7, 'weights');
    expect(() => [...fields(memorySource(bytes.subarray(0, -1)))]).toThrow(Corrupt);
  });

  it('refuses fields with the number 0, and groups', () => {
    expect(() => [...fields(memorySource(Uint8Array.of(0, 1)))]).toThrow(Corrupt);
    expect(() => [...fields(memorySource(Uint8Array.of((1 << 3) | 3, (1 << 3) | 4)))]).toThrow(Corrupt);
  });

  it('encodes 64-bit integers in two’s complement', () => {
    expect([...varint(2n ** 63n - 1n)]).toEqual([255, 255, 255, 255, 255, 255, 255, 255, 127]);
    expect([...varint(-1)]).toEqual([255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
  });

  it('reads repeated integers, packed or not', () => {
    const values = [0, 1, 300, -1, 2 ** 40];
    const source = memorySource(
      join([...values.map((value) => intField(1, value)), bytesField(1, values.map(varint))]),
    );
    const read: number[] = [];
    for (const field of fields(source)) readInts(source, field, read);
    expect(read).toEqual([...values, ...values]);
  });
});
