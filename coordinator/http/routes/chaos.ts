import type { Member } from '../../../src/core/member.js';
import type { Fleet } from '../../fleet.js';
import { ApiError } from '../../openai/api-error.js';
import { type HttpRoute, json } from '../route.js';

/** `POST /v1/fleet/workers/{id}/kill`: ends the process of a worker, where `--allow-chaos` allows it. */
export function chaosRoutes(fleet: Fleet, kill: ((worker: Member) => void) | null): HttpRoute[] {
  return [
    {
      method: 'POST',
      path: '/v1/fleet/workers/:id/kill',
      about: { summary: 'Kills a worker of this machine, where --allow-chaos is on.' },
      access: 'operator',
      handle: ({ params: { id } }) => {
        if (kill === null) {
          throw new ApiError(403, 'killing workers is not allowed; start the coordinator with --allow-chaos', {
            code: 'chaos_not_allowed',
          });
        }
        const worker = fleet.view().workers.find((member) => member.id === id && member.state !== 'dead');
        if (worker === undefined) {
          throw new ApiError(404, `id: no living worker '${id}' in the fleet; GET /v1/fleet lists the workers`, {
            param: 'id',
            code: 'worker_not_found',
          });
        }
        kill(worker);
        return json({ id: worker.id, state: 'killed' });
      },
    },
  ];
}
