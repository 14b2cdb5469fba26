import { expect, test } from 'vitest';
import type { BusMessage } from '../../../src/bus/bus.js';
import { MessageSealer, SEAL_SALT_BYTES } from '../../../src/bus/seal.js';
import { SealedReader } from '../../../src/bus/sealed-reader.js';
import { SimulatedClock } from '../../../src/clock.js';

const SECRET = 'the secret of the fleet';

test('names the sealer of a message once one of its messages was opened; all others are one stranger', () => {
  const dropped: string[] = [];
  const reader = new SealedReader({
    clock: new SimulatedClock(0),
    secret: SECRET,
    sendersKept: 8,
    onDropped: (reason, subject) => dropped.push(`${reason} ${subject}`),
  });
  const sealer = (secret: string, fill: number) =>
    new MessageSealer(secret, { id: 'a', incarnation: '1' }, new Uint8Array(SEAL_SALT_BYTES).fill(fill));
  const [member, intruder] = [sealer(SECRET, 1), sealer('another secret', 2)];
  const message = (payload: Uint8Array, subject = 'news'): BusMessage => ({
    subject,
    payload,
    reply: null,
    nobody: false,
  });
  const sealed = (by: MessageSealer, subject = 'news') => message(by.seal(subject, '', Uint8Array.of(1)), subject);

  const stranger = reader.senderOf(sealed(intruder));
  expect(reader.senderOf(sealed(member))).toBe(stranger);
  expect(reader.open(sealed(member))?.payload).toEqual(Buffer.of(1));
  expect(reader.senderOf(sealed(member))).not.toBe(stranger);
  expect(reader.senderOf(sealed(member, 'other news'))).toBe(reader.senderOf(sealed(member)));
  expect(reader.open(sealed(intruder))).toBeNull();
  expect(reader.senderOf(sealed(intruder, 'x'))).toBe(stranger);
  expect(dropped).toEqual(['forged news']);
  expect(reader.senderOf(message(Uint8Array.of(0)))).toBeNull();
  expect(dropped).toEqual(['forged news', 'forged news']);
  expect(reader.senderOf({ ...message(new Uint8Array(0)), nobody: true })).toBe(stranger);
});
