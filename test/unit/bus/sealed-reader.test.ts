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

  const seen = new Set<number>();
  const senderOf = (of: BusMessage) => reader.senderOf(of, ({ counter }) => seen.size === seen.add(counter).size);

  const stranger = senderOf(sealed(intruder));
  expect(senderOf(sealed(member))).toBe(stranger);
  expect(reader.open(sealed(member))?.payload).toEqual(Buffer.of(1));
  expect(senderOf(sealed(member))).not.toBe(stranger);
  expect(senderOf(sealed(member, 'other news'))).toBe(senderOf(sealed(member)));
  expect(reader.open(sealed(intruder))).toBeNull();
  expect(senderOf(sealed(intruder, 'x'))).toBe(stranger);
  expect(dropped).toEqual(['forged news']);
  expect(senderOf(message(Uint8Array.of(0)))).toBeNull();
  expect(dropped).toEqual(['forged news', 'forged news']);
  expect(senderOf({ ...message(new Uint8Array(0)), nobody: true })).toBe(stranger);

  // Anybody can copy a member's name, and repeat a whole message.
  const genuine = sealed(member);
  const forged = Buffer.concat([genuine.payload.subarray(0, -1), Uint8Array.of(genuine.payload.at(-1)! ^ 1)]);
  expect(senderOf(message(forged))).toBeNull();
  expect(senderOf({ ...genuine, subject: 'other news' })).toBeNull();
  expect(dropped.slice(2)).toEqual(['forged news', 'forged other news']);
  expect(senderOf(genuine)).toBe(senderOf(sealed(member)));
  expect(senderOf({ ...genuine })).toBe(stranger);
  expect(reader.open(genuine)?.payload).toEqual(Buffer.of(1));
});
