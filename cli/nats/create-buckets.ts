import { natsTransport } from '../../src/bus/nats-transport.js';
import { SystemClock } from '../../src/clock.js';
import { readValues } from '../../src/config/config.js';
import { DEFAULT_NATS_URL, natsAccess } from '../../src/config/nats-access.js';
import { Unavailable } from '../../src/errors.js';
import { fleetBuckets } from '../../src/fleet/buckets.js';
import { natsInbox } from '../../src/fleet/nats-rights.js';
import type { CommandContext } from '../context.js';

/** How long the command waits for NATS. */
const CONNECT_MS = 10_000;

/**
 * `shoal nats-buckets`: creates the buckets of a fleet, with the credentials of a coordinator. Coordinators do it by themselves; nodes that run without
 * one may not.
 */
export async function natsBuckets(context: CommandContext): Promise<number> {
  const values = readValues('nats-buckets', context);
  const { namespace } = values;
  const access = natsAccess(values.nats ?? DEFAULT_NATS_URL, values);
  const clock = new SystemClock();
  const giving = new AbortController();
  let why = `no server answers at ${access.url}`;
  const late = clock.after(CONNECT_MS, () => giving.abort());
  const transport = await natsTransport({
    ...{ ...access, name: 'shoal nats-buckets', inbox: natsInbox(namespace, 'coordinator'), signal: giving.signal },
    onWaiting: ({ message }) => {
      why = message;
    },
  }).catch((error: unknown) => {
    if (!giving.signal.aborted) throw error;
    throw new Unavailable(`cannot create the buckets: ${why}`);
  });
  late.cancel();
  try {
    for (const bucket of fleetBuckets(namespace)) {
      await transport.tendBucket?.(bucket.name, bucket, 'none');
      context.io.out(`${bucket.name}\n`);
    }
    const fault = transport.storeFault?.() ?? null;
    if (fault !== null) throw new Unavailable(fault.why);
  } finally {
    await transport.bus.close();
  }
  return 0;
}
