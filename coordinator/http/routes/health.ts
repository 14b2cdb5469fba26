import { mayOperate } from '../../access/roles.js';
import type { CoarseView } from '../../console/coarse-view.js';
import type { Fleet, HealthCheck } from '../../fleet.js';
import { type HttpRoute, json } from '../route.js';

/** `GET /health` and `/health/ready`: each check, with 200 or 503; `GET /health/live` and `/ping`: always 200; `GET /load`: `load`, roughly for users. */
export function healthRoutes(fleet: Fleet, coarse: Pick<CoarseView, 'load'>, load: () => number): HttpRoute[] {
  // Requests that come while the checks run share them.
  let running: Promise<HealthCheck[]> | null = null;
  const check = () => {
    running ??= checksOf(fleet).finally(() => {
      running = null;
    });
    return running;
  };
  const ready = async () => {
    const checks = await check();
    const failed = checks.filter((check) => !check.ok);
    const ok = failed.every((check) => !check.required);
    const degraded = ok && failed.length > 0 ? failed.map(({ name }) => name).join(', ') : undefined;
    const body = {
      status: !ok ? 'unavailable' : degraded ? 'degraded' : 'ok',
      degraded,
      checks: checks.map(({ name, ok, latencyMs, detail }) => ({ name, ok, latency_ms: latencyMs, detail })),
    };
    return json(body, ok ? 200 : 503);
  };
  const ping = {
    path: '/ping',
    about: { summary: 'Whether the coordinator runs.' },
    access: 'open',
    pages: 'any',
  } as const;
  const alive = () => json({ status: 'ok' });
  return [
    { method: 'GET', ...ping, handle: alive },
    { method: 'POST', ...ping, handle: alive },
    {
      method: 'GET',
      path: '/load',
      about: { summary: 'How many choices are being answered.' },
      access: 'key',
      handle: ({ principal }) => json({ server_load: mayOperate(principal) ? load() : coarse.load(load()) }),
    },
    {
      method: 'GET',
      path: '/health/live',
      about: { summary: 'Whether the coordinator runs.' },
      access: 'open',
      pages: 'any',
      handle: () => json({ status: 'ok' }),
    },
    {
      method: 'GET',
      path: '/health/ready',
      about: { summary: 'Whether the fleet answers, with its checks.', answers: READINESS },
      access: 'open',
      pages: 'any',
      handle: ready,
    },
    {
      method: 'GET',
      path: '/health',
      about: { summary: 'As /health/ready.', answers: READINESS },
      access: 'open',
      pages: 'any',
      handle: ready,
    },
  ];
}

/** The checks are the answer whether they pass or not. */
const READINESS = { 200: ['application/json'], 503: ['application/json'] };

async function checksOf(fleet: Fleet): Promise<HealthCheck[]> {
  try {
    return await fleet.health();
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return [{ name: 'fleet', ok: false, required: true, latencyMs: 0, detail }];
  }
}
