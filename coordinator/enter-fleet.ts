import { BucketCare } from '../src/fleet/bucket-care.js';
import { fleetBuckets } from '../src/fleet/buckets.js';
import { type JoiningOptions, joinFleet } from '../src/fleet/joining.js';
import type { Log } from '../src/log.js';

/**
 * Creates the buckets that the fleet is missing, and joins it. Returns the checks that keep the buckets and the charter.
 * @throws Refused if this process does not fit the fleet
 */
export async function enterFleet(joining: JoiningOptions, log: Log): Promise<readonly (() => Promise<void>)[]> {
  const { transport, config } = joining;
  const care = new BucketCare(transport, fleetBuckets(config.namespace), log);
  await care.create();
  const charter = await joinFleet(joining);
  return [() => care.check(charter.provesSecret), () => charter.check()];
}
