import { z } from 'zod';
import { ask, defineProtocol } from '../actors/protocol.js';

/** A worker's questions to coordinators about its clients: only coordinators know keys and tokens. */

const Principal = z.strictObject({ space: z.string().max(256), name: z.string().max(256) });

export const AccessProtocol = defineProtocol('access', {
  /** Whether clients need no key. */
  openness: ask(z.strictObject({}), z.strictObject({ open: z.boolean() })),
  /** The principal of a key or token; null if there is none. */
  authenticate: ask(
    z.strictObject({ user: z.string().max(256), password: z.string().max(16_384) }),
    z.strictObject({ principal: Principal.nullable() }),
  ),
  /** Whether a client may run a command that writes, which counts against its limits. */
  use: ask(
    z.strictObject({
      credentials: z.strictObject({ user: z.string().max(256), password: z.string().max(16_384) }).nullable(),
      command: z.string().max(32),
      address: z.string().max(128),
    }),
    z.strictObject({ refused: z.string().max(1_024).nullable(), limited: z.boolean() }),
  ),
});

/** Name of the actor in each coordinator. */
export const ACCESS_ACTOR = 'access';
