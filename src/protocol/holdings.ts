import { z } from 'zod';
import { packed } from './bytes.js';

/** What a worker took up and dropped, on `<fleet>.holdings.<worker>`: numbered, so that a listener sees that it missed one. Keys are 32 bytes each. */

/** Keys in one delta or page, so that it fits a message of the bus. */
export const HOLDINGS_KEYS_PER_MESSAGE = 16_384;

export const HoldingsKeys = packed(32, HOLDINGS_KEYS_PER_MESSAGE);

export const HoldingsDelta = z.strictObject({
  worker: z.string().min(1).max(128),
  incarnation: z.string().min(1).max(128),
  seq: z.int().min(1),
  added: HoldingsKeys,
  removed: HoldingsKeys,
});
export type HoldingsDelta = z.infer<typeof HoldingsDelta>;
