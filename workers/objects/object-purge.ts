import type { SaltGroup } from '../../src/core/purge-selector.js';
import { ownerDigest } from '../../src/core/salt.js';
import type { ObjectInfo } from '../../src/objects/object.js';
import { RESPONSE_SALT } from '../../src/objects/object.js';
import { hasResponses, type ObjectName, ownerOfSpace } from '../../src/objects/object-name.js';
import { isNewer, type Version } from '../../src/objects/version.js';
import type { ObjectStore } from './object-store.js';

/** Drops the objects of a purge from this worker. */

/** Copies that a purge dropped: of values of clients, and of stored answers of the Responses API. */
export interface DroppedObjects {
  readonly values: number;
  readonly responses: number;
}

/**
 * Drops the objects of an owner, or the stored answers of a salt, that are older than a version, and takes none that is older later. Values of clients
 * have only the salt of their space.
 */
export function purgeObjects(store: ObjectStore, group: SaltGroup, version: Version): DroppedObjects {
  const spaces = new Set(group.by === 'owner' ? store.spaceNames.filter((space) => isOwnedBy(group, space)) : []);
  const isChosen = ({ space }: ObjectName, { fields }: ObjectInfo) =>
    group.by === 'owner' ? spaces.has(space) : hasResponses(space) && fields[RESPONSE_SALT] === group.digest;
  const chosen = [...store.held()].filter(({ name, info }) => isNewer(version, info.version) && isChosen(name, info));
  if (group.by === 'owner') store.flushAll(spaces, version);
  else for (const { name } of chosen) store.delete(name, version);
  const responses = chosen.filter(({ name }) => hasResponses(name.space)).length;
  return { values: chosen.length - responses, responses };
}

function isOwnedBy({ digest }: SaltGroup, space: string): boolean {
  const owner = ownerOfSpace(space);
  return owner !== null && ownerDigest(owner) === digest;
}
