import { LOOP_TURNS } from '../../src/async/loop-turns.js';
import type { SaltGroup } from '../../src/core/purge-selector.js';
import { ownerDigest } from '../../src/core/salt.js';
import { RESPONSE_SALT } from '../../src/objects/object.js';
import { hasResponses, ownerOfSpace } from '../../src/objects/object-name.js';
import { isNewer, type Version } from '../../src/objects/version.js';
import type { ObjectStore } from './object-store.js';

/** Drops the objects of a purge from this worker. */

/** Stored answers that are looked at in one turn. */
const ANSWERS_PER_TURN = 64;

/** Copies that a purge dropped: of values of clients, and of stored answers of the Responses API. */
export interface DroppedObjects {
  readonly values: number;
  readonly responses: number;
}

/**
 * Drops the objects of an owner, or the stored answers of a salt, that are older than a version, and takes none that is older later, in turns of the
 * event loop. Values of clients have only the salt of their space.
 */
export async function purgeObjects(store: ObjectStore, group: SaltGroup, version: Version): Promise<DroppedObjects> {
  let values = 0;
  let responses = 0;
  for (const space of store.spaceNames) {
    if (group.by === 'owner' && isOwnedBy(group, space)) {
      const dropped = await store.flush(space, version);
      if (hasResponses(space)) responses += dropped;
      else values += dropped;
    } else if (group.by === 'salt' && hasResponses(space)) responses += await dropAnswers(store, space, group, version);
  }
  return { values, responses };
}

async function dropAnswers(
  store: ObjectStore,
  space: string,
  { digest }: SaltGroup,
  version: Version,
): Promise<number> {
  let looked = 0;
  let dropped = 0;
  for (const name of store.namesIn(space)) {
    const info = store.knownBy(name.hash)?.info;
    const chosen = info?.fields[RESPONSE_SALT] === digest && isNewer(version, info.version);
    if (chosen && store.delete(name, version)) dropped++;
    if (++looked % ANSWERS_PER_TURN === 0) await LOOP_TURNS.next();
  }
  return dropped;
}

function isOwnedBy({ digest }: SaltGroup, space: string): boolean {
  const owner = ownerOfSpace(space);
  return owner !== null && ownerDigest(owner) === digest;
}
