import { z } from 'zod';
import { PROMPT_TOKENS } from '../limits.js';
import { AdapterRef } from './adapter.js';
import { packed } from './bytes.js';
import { SaltField } from './generate.js';
import { HOLDINGS_KEYS_PER_MESSAGE } from './holdings.js';

/** The messages of members about wrong blocks and their makers, on `<fleet>.audit`. */

const Name = z.string().min(1).max(128);
const Process = z.strictObject({ id: Name, incarnation: Name });
const Key = z.string().regex(/^[0-9a-f]{64}$/);
const Pardons = z
  .int()
  .min(0)
  .max(2 ** 32);

export const AuditMessage = z.discriminatedUnion('type', [
  /** The sender computed this block again and had a wrong one. Its tokens are the prompt up to the end of the block, as uint32[]. */
  z.strictObject({
    type: z.literal('found'),
    from: Process,
    maker: Process,
    key: Key,
    digest: z.string().length(16),
    tokens: packed(4, PROMPT_TOKENS),
    salt: SaltField,
    adapter: AdapterRef.optional(),
  }),
  /** Blocks that were computed on top of a wrong one. Keys are packed. */
  z.strictObject({ type: z.literal('tainted'), from: Process, keys: packed(32, HOLDINGS_KEYS_PER_MESSAGE) }),
  /** The sender has its own evidence against a maker, or considers it quarantined. */
  z.strictObject({ type: z.literal('vote'), from: Process, maker: Process, pardons: Pardons }),
  /** An operator pardons a maker, for the time that `pardons` counts. */
  z.strictObject({ type: z.literal('pardoned'), from: Process, maker: Process, pardons: Pardons }),
]);
export type AuditMessage = z.infer<typeof AuditMessage>;
