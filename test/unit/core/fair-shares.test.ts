import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairShares, type Tenant } from '../../../src/core/fair-shares.js';

interface Item {
  readonly tenant: Tenant;
  readonly cost: number;
  readonly id: number;
}

const tenant = (name: string, weight = 1): Tenant => ({ name, weight });

/** Serves items one at a time, as a worker does: those that wait at first, and one more of a tenant whenever one of its own was served. */
function serve(shares: FairShares, waiting: Item[], steps: number, refill: boolean) {
  const served: Item[] = [];
  for (const item of waiting) shares.waits(item.tenant, 0);
  for (let step = 0; step < steps && waiting.length > 0; step++) {
    const item = shares.inOrder(waiting, ({ cost }) => cost).next().value as Item;
    waiting.splice(waiting.indexOf(item), 1);
    shares.starts(item.tenant, 0);
    shares.charge(item.tenant, item.cost);
    served.push(item);
    if (refill) {
      waiting.push({ ...item, id: item.id + 1_000 });
      shares.waits(item.tenant, 0);
    }
    shares.ends(item.tenant, 0);
  }
  return served;
}

describe('fair shares', () => {
  const loads = fc.array(
    fc.record({ cost: fc.integer({ min: 1, max: 100 }), weight: fc.integer({ min: 1, max: 4 }) }),
    {
      minLength: 2,
      maxLength: 5,
    },
  );

  it('give tenants that always wait the same cost for their weight, within their largest requests', () => {
    fc.assert(
      fc.property(loads, (tenants) => {
        const waiting = tenants.map(({ cost, weight }, i) => ({ tenant: tenant(`t${i}`, weight), cost, id: i }));
        const served = serve(new FairShares(), waiting, 400, true);
        const shares = tenants.map(({ weight }, i) => {
          const own = served.filter((item) => item.tenant.name === `t${i}`);
          return own.reduce((sum, { cost }) => sum + cost, 0) / weight;
        });
        const largest = Math.max(...tenants.map(({ cost, weight }) => cost / weight));
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(2 * largest);
      }),
    );
  });

  it('keep the requests of one tenant in order, and lose none', () => {
    const items = fc.array(fc.record({ name: fc.constantFrom('a', 'b', 'c'), cost: fc.integer({ min: 0, max: 9 }) }), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(items, (all) => {
        const waiting = all.map(({ name, cost }, id) => ({ tenant: tenant(name), cost, id }));
        const ordered = [...new FairShares().inOrder(waiting, ({ cost }) => cost)];
        expect(ordered.map(({ id }) => id).toSorted((x, y) => x - y)).toEqual(waiting.map(({ id }) => id));
        for (const name of ['a', 'b', 'c']) {
          const ids = ordered.filter((item) => item.tenant.name === name).map(({ id }) => id);
          expect(ids).toEqual(ids.toSorted((x, y) => x - y));
        }
      }),
    );
  });

  it('serve one tenant alone in order of arrival', () => {
    const waiting = [3, 1, 2].map((cost, id) => ({ tenant: tenant('a'), cost, id }));
    expect(serve(new FairShares(), waiting, 9, false).map(({ id }) => id)).toEqual([0, 1, 2]);
  });

  it('put a newcomer before the long queue of another, and do not let a pause be saved up', () => {
    const shares = new FairShares();
    const [a, b] = [tenant('a'), tenant('b')];
    for (let i = 0; i < 50; i++) shares.waits(a, 0);
    for (let i = 0; i < 10; i++) {
      shares.starts(a, 0);
      shares.charge(a, 100);
      shares.ends(a, 0);
    }
    // b was away while a computed 1,000: b gets one request before a, not ten.
    const waiting = [
      ...Array.from({ length: 5 }, (_, id) => ({ tenant: a, cost: 100, id })),
      ...Array.from({ length: 5 }, (_, id) => ({ tenant: b, cost: 100, id: 10 + id })),
    ];
    for (let i = 0; i < 5; i++) shares.waits(b, 0);
    const order = [...shares.inOrder(waiting, ({ cost }) => cost)].map((item) => item.tenant.name).join('');
    expect(order).toMatch(/^(ab|ba){5}$/);
  });

  it('keep the last slot for other tenants, while there are any', () => {
    const shares = new FairShares();
    const start = (who: Tenant, nowMs = 0) => {
      shares.waits(who, nowMs);
      shares.starts(who, nowMs);
    };
    for (let i = 0; i < 3; i++) start(tenant('a'));
    expect(shares.mayStart(tenant('a'), 4)).toBe(true);
    shares.waits(tenant('b'), 0);
    expect(shares.mayStart(tenant('a'), 4)).toBe(false);
    expect(shares.mayStart(tenant('b'), 4)).toBe(true);
    shares.leaves(tenant('b'), 0);
    start(tenant('a'), 600_000);
    expect(shares.mayStart(tenant('a'), 5)).toBe(true);
    expect(shares.mayStart(tenant('a'), 1)).toBe(true);
  });

  it('remember a bounded number of tenants', () => {
    const shares = new FairShares();
    for (let i = 0; i < 5_000; i++) {
      shares.waits(tenant(`t${i}`), 0);
      shares.leaves(tenant(`t${i}`), 0);
    }
    expect((shares as unknown as { accounts: Map<string, unknown> }).accounts.size).toBeLessThanOrEqual(4_097);
  });
});
