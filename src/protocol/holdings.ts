import { z } from 'zod';

/** What a worker took up and dropped, on `<fleet>.holdings.<worker>`: numbered, so that a listener sees that it missed one. Keys are 32 bytes each. */

const Keys = z.instanceof(Uint8Array).refine((b) => b.byteLength % 32 === 0, 'must be whole keys of 32 bytes');

export const HoldingsDelta = z.strictObject({
  worker: z.string().min(1).max(128),
  incarnation: z.string().min(1).max(128),
  seq: z.int().min(1),
  added: Keys,
  removed: Keys,
});
export type HoldingsDelta = z.infer<typeof HoldingsDelta>;

/** Keys in one delta or page, so that it fits a message of the bus. */
export const HOLDINGS_KEYS_PER_MESSAGE = 16_384;
