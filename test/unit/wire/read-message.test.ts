import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { encode } from '../../../src/wire/msgpack.js';
import { readMessage } from '../../../src/wire/read-message.js';

const Message = z.strictObject({ id: z.string(), count: z.int().min(0) });

describe('reading a message', () => {
  it('returns the decoded message, or null', () => {
    expect(readMessage(Message, encode({ id: 'a', count: 3 }))).toEqual({ id: 'a', count: 3 });
  });

  it.each([{ id: 'a', count: -1 }, { id: 'a' }, { id: 'a', count: 1, more: 2 }, null, 7, [], 'text'])(
    'gives nothing for %j',
    (value) => {
      expect(readMessage(Message, encode(value))).toBeNull();
    },
  );

  it('never throws for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const read = readMessage(Message, bytes);
        expect(read === null || Message.safeParse(read).success).toBe(true);
      }),
    );
    const cut = encode({ id: 'a', count: 3 });
    for (let end = 0; end < cut.byteLength; end++) expect(readMessage(Message, cut.subarray(0, end))).toBeNull();
  });
});
