import { z } from 'zod';
import type { Member } from '../../../src/core/member.js';
import { FAULT_SECONDS } from '../../../src/limits.js';
import type { WorkerFault } from '../../../src/protocol/worker.js';
import type { Chaos, PassingFault } from '../../chaos/chaos.js';
import type { FleetFeed } from '../../console/fleet-feed.js';
import type { Fleet } from '../../fleet.js';
import { ApiError } from '../../openai/api-error.js';
import { checkBody } from '../../openai/parameters/check-body.js';
import { type HttpRoute, json } from '../route.js';

/** Faults that demonstrate how the fleet heals, where `--allow-chaos` allows them. */

const PassingFaultRequest = z.object({ seconds: z.int().min(1).max(FAULT_SECONDS) });

const PASSING: Readonly<Record<PassingFault, string>> = {
  pause: 'Stops a worker of this machine for some seconds, where --allow-chaos is on.',
  slow: 'Takes most of its time from a worker of this machine for some seconds, where --allow-chaos is on.',
};

const ORDERED: Readonly<Record<WorkerFault, string>> = {
  'cut-off': 'Cuts a worker off from all others for some seconds, where --allow-chaos is on here and there.',
  corrupt: 'Makes a worker send its peers corrupt blocks for some seconds, where --allow-chaos is on here and there.',
};

/**
 * `POST /v1/fleet/workers/{id}/kill` ends the process of a worker, `/pause` stops it for some seconds, and `/slow` makes it slow; `/cut-off` and
 * `/corrupt` are orders that the worker obeys if it runs with `--allow-chaos`;
 * `POST /v1/fleet/nats/stop` stops the nats-server. Without a `chaos` each is a 403.
 */
export function chaosRoutes(fleet: Fleet, chaos: Chaos | null, feed: Pick<FleetFeed, 'disturbed'>): HttpRoute[] {
  return [
    {
      method: 'POST',
      path: '/v1/fleet/workers/:id/kill',
      about: { summary: 'Kills a worker of this machine, where --allow-chaos is on.' },
      access: 'operator',
      handle: ({ params }) => {
        const faults = allowed(chaos);
        const worker = livingWorker(fleet, params.id);
        faults.kill(worker);
        feed.disturbed('kill', worker.id);
        return json({ id: worker.id, state: 'killed' });
      },
    },
    ...(['pause', 'slow'] as const).map((fault) =>
      passingFaultRoute({ fleet, chaos, feed }, fault, PASSING[fault], (faults, worker, seconds) =>
        faults.disturb(fault, worker, seconds),
      ),
    ),
    ...(['cut-off', 'corrupt'] as const).map((fault) =>
      passingFaultRoute({ fleet, chaos, feed }, fault, ORDERED[fault], (faults, worker, seconds) =>
        faults.order(fault, worker, seconds),
      ),
    ),
    {
      method: 'POST',
      path: '/v1/fleet/nats/stop',
      about: {
        summary: 'Stops the nats-server of this machine for some seconds, where --allow-chaos is on.',
        body: PassingFaultRequest,
      },
      access: 'operator',
      handle: async ({ body }) => {
        const faults = allowed(chaos);
        const { seconds } = checkBody(PassingFaultRequest, body);
        await faults.stopNats(seconds);
        feed.disturbed('stop', null, seconds);
        return json({ fault: 'stop', seconds });
      },
    },
  ];
}

interface ChaosDeps {
  readonly fleet: Fleet;
  readonly chaos: Chaos | null;
  readonly feed: Pick<FleetFeed, 'disturbed'>;
}

function passingFaultRoute(
  { fleet, chaos, feed }: ChaosDeps,
  fault: PassingFault | WorkerFault,
  summary: string,
  disturb: (faults: Chaos, worker: Member, seconds: number) => Promise<void> | void,
): HttpRoute {
  return {
    method: 'POST',
    path: `/v1/fleet/workers/:id/${fault}`,
    about: { summary, body: PassingFaultRequest },
    access: 'operator',
    handle: async ({ params, body }) => {
      const faults = allowed(chaos);
      const worker = livingWorker(fleet, params.id);
      const { seconds } = checkBody(PassingFaultRequest, body);
      await disturb(faults, worker, seconds);
      feed.disturbed(fault, worker.id, seconds);
      return json({ id: worker.id, fault, seconds });
    },
  };
}

function allowed(chaos: Chaos | null): Chaos {
  if (chaos !== null) return chaos;
  throw new ApiError(403, 'faults are not allowed; start the coordinator with --allow-chaos', {
    code: 'chaos_not_allowed',
  });
}

function livingWorker(fleet: Fleet, id = ''): Member {
  const worker = fleet.view().workers.find((member) => member.id === id && member.state !== 'dead');
  if (worker !== undefined) return worker;
  throw new ApiError(404, `id: no living worker '${id}' in the fleet; GET /v1/fleet lists the workers`, {
    param: 'id',
    code: 'worker_not_found',
  });
}
