import { z } from 'zod';
import { defineProtocol, tell } from '../actors/protocol.js';
import { FAULT_SECONDS } from '../limits.js';

/** The protocol by which coordinators tell each other what an operator did to the fleet, for the pages of their consoles. */
export const DisturbancesProtocol = defineProtocol('disturbances', {
  ordered: tell(
    z.strictObject({
      fault: z.enum(['kill', 'pause', 'slow', 'cut-off', 'corrupt', 'stop']),
      /** Null if the fault is none of a worker. */
      worker: z.string().min(1).max(128).nullable(),
      /** For how long; null for a kill. */
      seconds: z.int().min(1).max(FAULT_SECONDS).nullable(),
      /** Time since the order. */
      agoMs: z.number().min(0),
    }),
  ),
});

/** Name of the actor in each coordinator. */
export const DISTURBANCES_ACTOR = 'disturbances';
