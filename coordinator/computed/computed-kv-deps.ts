import type { CoordinatorConfig } from '../../src/config/coordinator-config.js';
import type { Maker } from '../../src/core/maker.js';
import { ValueStaging } from '../../src/objects/value-staging.js';
import type { CoordinatorParts } from '../compose.js';
import type { ComputedKvDeps } from '../http/routes/computed-kv.js';

/** What the routes for K/V of the engine need. */

/** Limit on one write of K/V into the engine's cache, and memory of such writes. */
const WRITE_BYTES = 128 * 2 ** 20;
const WRITES_BYTES = 2 * WRITE_BYTES;

export function computedKvDeps(
  { id, secret }: CoordinatorConfig,
  { computed, router }: Pick<CoordinatorParts, 'computed' | 'router'>,
  { fingerprint, incarnation }: { readonly fingerprint: string } & Pick<Maker, 'incarnation'>,
): ComputedKvDeps {
  const writeBytes = Math.max(WRITE_BYTES, 2 * computed.blockBytes);
  const staging = new ValueStaging(Math.max(WRITES_BYTES, writeBytes));
  return { computed, router, fingerprint, secret, self: { id, incarnation }, staging, writeBytes };
}
