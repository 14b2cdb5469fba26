import type { Clock } from '../../src/clock.js';
import type { CoordinatorConfig } from '../../src/config/coordinator-config.js';
import type { Log } from '../../src/log.js';
import { CoarseUse } from '../../src/objects/coarse-use.js';
import { largestObject } from '../../src/objects/object.js';
import type { Objects } from '../../src/objects/objects.js';
import { ValueStaging } from '../../src/objects/value-staging.js';
import type { KvDeps } from '../http/routes/kv.js';
import { ResponseStore } from '../responses/response-store.js';

/** What the HTTP API keeps among the fleet's objects. */

/** Memory of values that come in over HTTP, in values of the largest size. */
const STAGED_VALUES = 2;

export interface ObjectUses {
  /** Objects of clients; null if the fleet has none. */
  readonly kv: KvDeps | null;
  /** Answers of the Responses API; null: none is stored. */
  readonly responses: ResponseStore | null;
}

export function objectUses(
  { objectBytes, responseTtlMs: ttlMs }: Pick<CoordinatorConfig, 'objectBytes' | 'responseTtlMs'>,
  objects: Objects,
  ports: { readonly clock: Clock; readonly wallMs: () => number; readonly log: Log },
): ObjectUses {
  if (objectBytes === 0) return { kv: null, responses: null };
  const largest = largestObject(objectBytes);
  const shared = { objects, objectBytes: largest, ...ports };
  return {
    kv: { ...shared, coarse: new CoarseUse(), staging: new ValueStaging(STAGED_VALUES * largest) },
    responses: ttlMs === 0 ? null : new ResponseStore({ ...shared, ttlMs }),
  };
}
