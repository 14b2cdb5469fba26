import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Access } from '../../../../coordinator/access/access.js';
import { KeyRing } from '../../../../coordinator/access/key-ring.js';
import { metered } from '../../../../coordinator/http/metered.js';
import type { Exchange } from '../../../../coordinator/http/route.js';
import { kvRoutes } from '../../../../coordinator/http/routes/kv.js';
import { KeyAccess } from '../../../../coordinator/objects/key-access.js';
import { Quotas } from '../../../../coordinator/quota/quotas.js';
import { MemoryBroker } from '../../../../src/bus/memory-bus.js';
import { SimulatedClock } from '../../../../src/clock.js';
import { type Grants, NO_LIMITS } from '../../../../src/config/grants.js';
import type { RequestEntry, TrailEvent } from '../../../../src/trail/entry.js';
import { type RespProbe, RespStation } from '../../resp/support/resp-station.js';

/** Keys with limits on the port for the Redis protocol, which has entries in the audit log. */

const SECRETS = {
  ...{ limited: 'a'.repeat(24), free: 'b'.repeat(24), metrics: 'm'.repeat(24) },
  ...{ ann: 'c'.repeat(24), bob: 'd'.repeat(24), colleague: 'e'.repeat(24) },
};
let station: RespStation | undefined;
let trail: TrailEvent[];
beforeEach(() => {
  trail = [];
});
afterEach(() => station?.close());

async function open(): Promise<RespProbe> {
  const quotas = new Quotas({
    ...{
      bus: new MemoryBroker().connect('c'),
      clock: new SimulatedClock(),
      wallMs: () => 0,
      subject: 'usage',
      self: 'c',
    },
  });
  const grants: Grants = {
    tenant: 't',
    role: 'user',
    models: null,
    limits: NO_LIMITS,
    priority: 1,
    saltScope: 'tenant',
    shares: [],
    publishes: [],
  };
  const limits = { ...NO_LIMITS, requestsPerMinute: 60, burstRequests: 5 };
  const open = { saltScope: 'public' as const };
  const ring = KeyRing.ofEntries([
    { ...grants, id: 'limited', secretSha256: digest(SECRETS.limited), limits },
    { ...grants, id: 'free', secretSha256: digest(SECRETS.free) },
    { ...grants, id: 'metrics', secretSha256: digest(SECRETS.metrics), role: 'metrics' },
    { ...grants, ...open, id: 'ann', secretSha256: digest(SECRETS.ann) },
    { ...grants, ...open, id: 'bob', secretSha256: digest(SECRETS.bob), tenant: 'u' },
    { ...grants, id: 'colleague', secretSha256: digest(SECRETS.colleague) },
  ]);
  trail = [];
  const access = new Access({ rings: () => [ring], tokens: null });
  station = await RespStation.open({
    access: new KeyAccess({ access, quotas, trail: { write: (event) => trail.push(event) } }),
  });
  return station.client();
}

const digest = (secret: string) => createHash('sha256').update(secret).digest('hex');
const noted = () =>
  trail.map((event) => {
    const { tenant, key, method, route, decision, status, address } = event as RequestEntry;
    return { tenant, key, method, route, decision, status, address };
  });

it('The salt scope public shares no values: those of a tenant are its own, whatever the scope of its keys', async () => {
  const ann = await open();
  const [bob, colleague] = [await station!.client(), await station!.client()];
  await ann.call(['AUTH', SECRETS.ann], ['SET', 'k', 'of t']);
  expect(await bob.call(['AUTH', SECRETS.bob], ['GET', 'k'], ['KEYS', '*'])).toEqual(['OK', null, []]);
  expect(await bob.call(['SET', 'k', 'of u'], ['DEL', 'k'], ['FLUSHDB'])).toEqual(['OK', 1, 'OK']);
  expect(await ann.one('GET', 'k')).toBe('of t');
  expect(await colleague.call(['AUTH', SECRETS.colleague], ['GET', 'k'])).toEqual(['OK', 'of t']);
  for (const other of [bob, colleague]) other.end();
});

it('A command that writes counts against the limits of its key, and one that reads does not', async () => {
  const client = await open();
  await client.one('AUTH', SECRETS.limited);
  const sets = await client.call(...Array.from({ length: 8 }, (_, i) => ['SET', `k${i}`, 'v']));
  expect(sets.slice(0, 5)).toEqual(Array(5).fill('OK'));
  for (const reply of sets.slice(5)) expect(reply).toMatch(/^-ERR .*its 60 requests per minute; retry in 1 s/);
  expect(await client.call(['GET', 'k4'], ['GET', 'k5'])).toEqual(['v', null]);
  const refusal = { tenant: 't', key: 'limited', method: 'REDIS', route: 'SET', decision: 'refused', status: 429 };
  expect(noted()).toEqual(Array(3).fill({ ...refusal, address: '127.0.0.1' }));
});

it('A key without limits is asked about once, and its commands go on', async () => {
  const client = await open();
  await client.one('AUTH', SECRETS.free);
  expect(await client.call(...Array.from({ length: 50 }, (_, i) => ['SET', `k${i}`, 'v']))).toEqual(
    Array(50).fill('OK'),
  );
  expect(trail).toEqual([]);
});

it('A wrong key, one of another role, and FLUSHDB have entries', async () => {
  const client = await open();
  for (const wrong of ['no-such-key', SECRETS.metrics]) expect(await client.one('AUTH', wrong)).toMatch(/^-WRONGPASS/);
  await client.one('AUTH', SECRETS.free);
  expect(await client.one('FLUSHDB')).toBe('OK');
  const entry = { method: 'REDIS', route: 'AUTH', decision: 'refused', address: null };
  expect(noted()).toEqual([
    { ...entry, tenant: null, key: null, status: 401 },
    { ...entry, tenant: 't', key: 'metrics', status: 403 },
    { ...entry, tenant: 't', key: 'free', route: 'FLUSHDB', decision: 'allowed', status: 200, address: '127.0.0.1' },
  ]);
});

it('PUT /v1/kv/{key} counts as a request', () => {
  const begun: unknown[] = [];
  const begin = (principal: unknown) => {
    begun.push(principal);
    return null;
  };
  const routes = kvRoutes({} as Parameters<typeof kvRoutes>[0]);
  for (const route of routes) {
    const counted = metered({ ...route, handle: () => null as never }, { begin } as unknown as Quotas);
    counted.handle({ principal: `${route.method} ${route.path}` } as unknown as Exchange);
  }
  expect(begun).toContain('PUT /v1/kv/*');
  expect(begun).not.toContain('GET /v1/kv/*');
});
