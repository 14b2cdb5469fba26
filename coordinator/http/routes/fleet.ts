import type { Member, PeerAddress } from '../../../src/core/member.js';
import type { Accused } from '../../../src/core/tribunal.js';
import { mayOperate } from '../../access/roles.js';
import type { CoarseView } from '../../console/coarse-view.js';
import type { Fleet } from '../../fleet.js';
import { ApiError } from '../../openai/api-error.js';
import { type HttpRoute, json } from '../route.js';

/**
 * `GET /v1/fleet`: workers and coordinators; `/v1/fleet/recommendation`: workers wanted. `POST /v1/fleet/workers/{id}/drain` and `/undrain`: a worker
 * stops serving, and serves again; `GET …/drain`: whether it can end; `/pardon`: lifts its quarantine.
 */
export function fleetRoutes(fleet: Fleet, coarse: CoarseView, modelName: string): HttpRoute[] {
  return [
    {
      method: 'GET',
      path: '/v1/fleet',
      about: { summary: 'Lists the workers and the coordinators.' },
      access: 'key',
      handle: ({ principal }) => {
        const operates = mayOperate(principal);
        const { epoch, ring, replicas, coordinators, workers, quarantined } = operates
          ? fleet.view()
          : coarse.of(fleet.view());
        const rowOf = operates ? workerRow : publicRow;
        return json({
          model: modelName,
          replicas,
          epoch,
          ring,
          coordinators: coordinators.map(({ id, pid, host }) =>
            operates ? { id, pid, host } : { id, pid: null, host: null },
          ),
          workers: workers.map((worker) => rowOf(worker, quarantined)),
        });
      },
    },
    {
      method: 'GET',
      path: '/v1/fleet/recommendation',
      about: { summary: 'Recommends how many workers the fleet should have, and says why.' },
      access: 'operator',
      handle: () => {
        const { serving, wanted, why } = fleet.recommendation();
        return json({ workers: { serving, wanted }, why, leave: wanted < serving ? cheapestToLose(fleet) : null });
      },
    },
    ...workerRoutes(fleet),
  ];
}

function workerRoutes(fleet: Fleet): HttpRoute[] {
  return [
    {
      method: 'GET',
      path: '/v1/fleet/workers/:id/drain',
      about: { summary: "Says whether a worker can end without the loss of a request or of a block's last copy." },
      access: 'operator',
      handle: async ({ params }) => {
        const id = params.id ?? '';
        const departure = await fleet.departure(id);
        if (departure === null) throw unknownWorker(id);
        const { state, running, waiting, blocks, lastCopies, safe, why } = departure;
        return json({ id, state, running, waiting, blocks, last_copies: lastCopies, safe, why });
      },
    },
    {
      method: 'POST',
      path: '/v1/fleet/workers/:id/drain',
      about: { summary: 'Makes a worker finish its requests and accept no new ones.' },
      access: 'operator',
      handle: async ({ params }) => {
        const id = knownWorker(fleet, params.id);
        await fleet.drain(id);
        return json({ id, state: 'draining' });
      },
    },
    {
      method: 'POST',
      path: '/v1/fleet/workers/:id/undrain',
      about: { summary: 'Makes a drained worker serve again.' },
      access: 'operator',
      handle: async ({ params }) => {
        const id = knownWorker(fleet, params.id);
        await fleet.undrain(id);
        return json({ id, state: 'serving' });
      },
    },
    {
      method: 'POST',
      path: '/v1/fleet/workers/:id/pardon',
      about: { summary: 'Lifts the quarantine of a worker.' },
      access: 'operator',
      handle: ({ params }) => {
        const id = params.id ?? '';
        if (!fleet.pardon(id)) {
          throw new ApiError(404, `id: no quarantined worker '${id}' in the fleet; GET /v1/fleet lists the workers`, {
            param: 'id',
            code: 'worker_not_found',
          });
        }
        return json({ id, quarantined: null });
      },
    },
  ];
}

function knownWorker(fleet: Fleet, id = ''): string {
  if (fleet.view().workers.some((worker) => worker.id === id)) return id;
  throw unknownWorker(id);
}

function unknownWorker(id: string): ApiError {
  const message = `id: no worker '${id}' in the fleet; GET /v1/fleet lists the workers`;
  return new ApiError(404, message, { param: 'id', code: 'worker_not_found' });
}

/** The serving worker with the fewest blocks to hand over; null if none serves. */
function cheapestToLose(fleet: Fleet): string | null {
  const serving = fleet.view().workers.filter(({ state }) => state === 'serving');
  const [first] = serving.sort((a, b) => a.blocks - b.blocks || (a.id < b.id ? -1 : 1));
  return first?.id ?? null;
}

/** Null for a worker that no member accuses. */
function quarantineOf({ id, incarnation }: Member, quarantined: readonly Accused[]) {
  const found = quarantined.find(({ maker }) => maker.id === id && maker.incarnation === incarnation);
  return found ? { by: found.voters } : null;
}

function workerRow(worker: Member, quarantined: readonly Accused[]) {
  return {
    id: worker.id,
    incarnation: worker.incarnation,
    pid: worker.pid,
    host: worker.host,
    device: worker.device,
    device_reason: worker.deviceReason,
    context: { tokens: worker.capacity.contextTokens, reason: worker.contextReason },
    trial: worker.trial,
    state: worker.state,
    quarantined: quarantineOf(worker, quarantined),
    address: addressText(worker.address),
    blocks: worker.blocks,
    bytes: { device: worker.bytes.device, host: worker.bytes.host },
    budget: { device: worker.budget.device, host: worker.budget.host },
    running: worker.running,
    waiting: worker.waiting,
    hit_rate: worker.hitRate,
  };
}

/** A worker as a user sees it: nothing of the machine and the process. Its counts are coarse. */
function publicRow(worker: Member, quarantined: readonly Accused[]) {
  return {
    ...workerRow(worker, quarantined),
    incarnation: null,
    pid: null,
    host: null,
    device_reason: null,
    context: { tokens: worker.capacity.contextTokens, reason: null },
    address: null,
  };
}

/** The TCP address if the worker has one, else its Unix socket. */
function addressText({ unixPath, tcpHost, tcpPort }: PeerAddress): string | null {
  if (tcpHost !== null && tcpPort !== null)
    return `tcp://${tcpHost.includes(':') ? `[${tcpHost}]` : tcpHost}:${tcpPort}`;
  return unixPath === null ? null : `unix:${unixPath}`;
}
