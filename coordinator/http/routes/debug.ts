import type { Clock } from '../../../src/clock.js';
import { Profiler, profileRequest } from '../../../src/debug/profiler.js';
import { type HttpRoute, json } from '../route.js';
import { queryOf } from './kv-request.js';

/** `GET /debug/profile`: a profile of this coordinator, without prompts. */
export function debugRoutes(clock: Clock): HttpRoute[] {
  const profiler = new Profiler(clock);
  return [
    {
      method: 'GET',
      path: '/debug/profile',
      about: { summary: 'Takes a profile of the coordinator: kind=cpu, heap or loop, over seconds=1 to 60.' },
      access: 'operator',
      handle: async ({ target, signal }) => json(await profiler.take(profileRequest(queryOf(target)), signal)),
    },
  ];
}
