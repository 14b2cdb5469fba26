import { z } from 'zod';
import { ask, defineProtocol } from '../actors/protocol.js';

/** What a worker asks coordinators about its clients: only they know keys and tokens. */

const Principal = z.strictObject({ space: z.string().max(256), name: z.string().max(256) });

export const AccessProtocol = defineProtocol('access', {
  /** Whether nobody needs a key. */
  openness: ask(z.strictObject({}), z.strictObject({ open: z.boolean() })),
  /** The principal of a key or token; null if there is none. */
  authenticate: ask(
    z.strictObject({ user: z.string().max(256), password: z.string().max(16_384) }),
    z.strictObject({ principal: Principal.nullable() }),
  ),
});

/** Name of the actor in each coordinator. */
export const ACCESS_ACTOR = 'access';
