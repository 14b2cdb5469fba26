import { RecallLoad } from '../../fleet/recall-load.js';
import { atLeast, type Fault, NO_HARM } from '../fault.js';

const CLIENTS = 6;
const WARM_UP_MS = 6_000;
const BEFORE_MS = 15_000;
const AWAY_MS = 60_000;

/** NATS is away for a minute. */
export const natsAway: Fault = {
  name: 'nats-away-60s',
  row: 'NATS away for 60 s, under load',
  passesWhen: 'new requests answered at >= 90 % of the rate before (for each second of CPU time), over direct links',
  bounds: { ...NO_HARM, rate_share: atLeast(0.9), direct_share: atLeast(0.95) },
  needs: [],
  expectedS: 100,
  async run(context) {
    const fleet = await context.members();
    const load = context.load(new RecallLoad(fleet.api, CLIENTS, 100));
    await context.pause(WARM_UP_MS);
    const before = await load.during(context.pause(BEFORE_MS));
    await fleet.stopNats();
    const direct = await fleet.api.calls('direct');
    const during = await load.during(context.pause(AWAY_MS));
    const direct_share = ((await fleet.api.calls('direct')) - direct) / during.requests;
    await fleet.startNats();
    const after = await load.during(context.pause(BEFORE_MS));
    // Other load on the machine also slows a fleet, through the CPU caches that they share.
    const undisturbed = Math.min(before.requestsPerCpuSecond, after.requestsPerCpuSecond);
    return {
      ...(await context.harm(load)),
      requests_meanwhile: during.requests,
      rate_share: during.requestsPerCpuSecond / undisturbed,
      direct_share,
    };
  },
};
