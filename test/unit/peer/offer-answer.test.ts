import { expect, test } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import type { SealedBlock } from '../../../src/core/block.js';
import { type NoReservation, type Reservation, reservation } from '../../../src/core/reservation.js';
import { InternalError } from '../../../src/errors.js';
import { OfferAnswer } from '../../../src/peer/server/offer-answer.js';
import { OfferMemory } from '../../../src/peer/server/offer-memory.js';

type Memory = Reservation<Uint8Array, Promise<void>>;

const BLOCKS = ['a', 'b', 'c'].map((key) => ({ key, parent: null, digest: key }) as unknown as SealedBlock);
const PEER = 'peer';

function answer(admit: (block: SealedBlock) => Memory | NoReservation, offers: OfferMemory): OfferAnswer {
  return new OfferAnswer(BLOCKS, {
    host: { admit } as never,
    blockBytes: 8,
    admission: 'evict',
    offers,
    peer: { id: PEER } as never,
    clock: new SimulatedClock(),
    onDamaged: () => undefined,
  });
}

test('an offer that fails half-way keeps neither memory nor a share of what its peer may reserve', () => {
  const offers = new OfferMemory(BLOCKS.length, BLOCKS.length);
  const reserved = new Set<string>();
  const offer = answer(({ key }) => {
    if (key === BLOCKS[2]!.key) throw new InternalError('the device is lost');
    reserved.add(key);
    const free = () => void reserved.delete(key);
    return reservation(key, new Uint8Array(8), { commit: async () => free(), abort: free });
  }, offers);
  const reply = { send: () => undefined, finish: () => undefined, close: () => undefined };
  expect(() => offer.start(reply as never)).toThrow('the device is lost');
  offer.closed();
  expect(reserved).toEqual(new Set());
  for (const _ of BLOCKS) expect(offers.take(PEER)).toBe(true);
});
