import { z } from 'zod';
import { packed } from './bytes.js';

/** Changes of a worker's holdings, numbered so that a listener detects a missed one. Keys are packed, 32 bytes each. */

/** Limit on the keys in one delta or page, so that it fits one message of the bus. */
export const HOLDINGS_KEYS_PER_MESSAGE = 16_384;

export const HoldingsKeys = packed(32, HOLDINGS_KEYS_PER_MESSAGE);

/** One change, on `<fleet>.holdings.<worker>`. */
export const HoldingsDelta = z.strictObject({
  worker: z.string().min(1).max(128),
  incarnation: z.string().min(1).max(128),
  seq: z.int().min(1),
  added: HoldingsKeys,
  removed: HoldingsKeys,
});
export type HoldingsDelta = z.infer<typeof HoldingsDelta>;
