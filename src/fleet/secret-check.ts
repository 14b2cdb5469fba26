import type { KeyValueEntry } from '../bus/key-value.js';
import type { Transport } from '../bus/transport.js';
import type { Clock } from '../clock.js';
import { Refused, Unavailable } from '../errors.js';
import type { Log } from '../log.js';
import { anybodyAlive } from './anybody-alive.js';
import { fleetBucket, openBucket } from './buckets.js';
import { CHARTER_KEY, isCharter, PROVISIONAL_MS, UNREADABLE_CHARTER } from './charter.js';
import { fleetSubjects } from './subjects.js';

/** Checks the secret of a process that joins no charter: a node, or a program that uses the nodes. */

export interface SecretCheckOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Log;
  readonly namespace: string;
}

/**
 * Resolves if this process can read the charter of the fleet, if there is no charter that it can get, and if nobody lives under the one that it cannot read.
 * @throws Refused if a fleet with another secret lives in this namespace
 */
export async function checkSecret(options: SecretCheckOptions): Promise<void> {
  const { transport, clock, namespace } = options;
  // The users of nodes on NATS may hear coordinators, but not workers.
  const heard = { said: [fleetSubjects(namespace).coordinator], ask: null };
  let suspected = false;
  for (;;) {
    const found = await storedCharter(options);
    if (found === null || isCharter(found.value)) return;
    if (suspected) throw new Refused(UNREADABLE_CHARTER);
    const alive = await anybodyAlive(transport, clock, heard, PROVISIONAL_MS);
    // Members put their charter back, and one without members is replaced by the next process that joins.
    if (alive === 'members' || alive === 'nobody') return;
    suspected = alive === 'strangers';
  }
}

async function storedCharter({ transport, log, namespace }: SecretCheckOptions): Promise<KeyValueEntry | null> {
  try {
    const kv = await openBucket(transport, fleetBucket(namespace));
    return await kv.get(CHARTER_KEY);
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    const remedy = 'if NATS refuses it the right to, grant it the rights that "shoal nats-users" prints';
    log.info(
      { reason: error.message },
      `cannot compare the secret of this process with the charter of the fleet; ${remedy}`,
    );
    return null;
  }
}
