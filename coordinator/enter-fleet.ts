import { BucketCare } from '../src/fleet/bucket-care.js';
import { fleetBuckets } from '../src/fleet/buckets.js';
import { type JoiningOptions, joinFleet } from '../src/fleet/joining.js';
import { fleetSubjects } from '../src/fleet/subjects.js';
import type { Log } from '../src/log.js';
import { namesakeAtStart } from './namesake.js';

/**
 * Creates the buckets that the fleet is missing, and joins it. Returns the checks that keep the buckets and the charter.
 * @throws Refused if this process does not fit the fleet, or if another coordinator that lives has its name
 */
export async function enterFleet(
  joining: JoiningOptions & { readonly config: { readonly id: string } },
  log: Log,
): Promise<readonly (() => Promise<void>)[]> {
  const { transport, clock, config } = joining;
  const { id, namespace } = config;
  const named = namesakeAtStart({ bus: transport.bus, clock, subjects: fleetSubjects(namespace), id });
  const care = new BucketCare(transport, fleetBuckets(namespace), log);
  await care.create();
  const charter = await joinFleet(joining);
  const refusal = await named;
  if (refusal !== null) throw refusal;
  return [() => care.check(charter.provesSecret), () => charter.check()];
}
