import type { Fleet, HealthCheck } from '../../fleet.js';
import { json, type Route } from '../route.js';

/** `GET /health/live`, `/health/ready` and `/health`: 200, or 503 with what is wrong. */
export function healthRoutes(fleet: Fleet): Route[] {
  const checked = async () => {
    const checks = await checksOf(fleet);
    const ok = checks.every((check) => check.ok);
    const body = {
      status: ok ? 'ok' : 'unavailable',
      checks: checks.map(({ name, ok, latencyMs, detail }) => ({ name, ok, latency_ms: latencyMs, detail })),
    };
    return json(body, ok ? 200 : 503);
  };
  return [
    { method: 'GET', path: '/health/live', access: 'open', handle: () => json({ status: 'ok' }) },
    { method: 'GET', path: '/health/ready', access: 'open', handle: checked },
    { method: 'GET', path: '/health', access: 'open', handle: checked },
  ];
}

async function checksOf(fleet: Fleet): Promise<HealthCheck[]> {
  try {
    return await fleet.health();
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return [{ name: 'fleet', ok: false, latencyMs: 0, detail }];
  }
}
