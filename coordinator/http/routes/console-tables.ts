import type { ActorsAnswer, SlowAnswer, TenantsAnswer } from '../../../src/console/table-answers.js';
import { mayOperate } from '../../access/roles.js';
import { type HttpRoute, json } from '../route.js';

/** The data of the console's tables: `GET /v1/fleet/slow`, `/tenants` and `/actors`. */

export interface TableDeps {
  /** The slowest requests of the tenants that the caller may read. */
  readonly slow: (mayRead: (tenant: string | null) => boolean) => SlowAnswer;
  readonly tenants: () => TenantsAnswer;
  readonly actors: () => Promise<ActorsAnswer>;
}

export function consoleTableRoutes({ slow, tenants, actors }: TableDeps): HttpRoute[] {
  return [
    {
      method: 'GET',
      path: '/v1/fleet/slow',
      about: { summary: 'Lists the slowest requests of the last hour on this coordinator, with their steps.' },
      access: 'key',
      handle: ({ principal }) => {
        const own = principal?.tenant ?? null;
        return json(slow((tenant) => mayOperate(principal) || tenant === own));
      },
    },
    {
      method: 'GET',
      path: '/v1/fleet/tenants',
      about: { summary: 'Says what this coordinator has done for each tenant since it started.' },
      access: 'operator',
      handle: () => json(tenants()),
    },
    {
      method: 'GET',
      path: '/v1/fleet/actors',
      about: { summary: 'Lists the nodes, actors and tasks of the runtime.' },
      access: 'operator',
      handle: async () => json(await actors()),
    },
  ];
}
