import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { beforeEach, describe, expect, it } from 'vitest';
import { Access } from '../../../../coordinator/access/access.js';
import { type Principal, subjectPrincipal } from '../../../../coordinator/access/principal.js';
import { RECHECK_MS, RunningRequests } from '../../../../coordinator/http/running-requests.js';
import { ApiError } from '../../../../coordinator/openai/api-error.js';
import { SimulatedClock, settled } from '../../../../src/clock.js';
import { type Grants, NO_LIMITS } from '../../../../src/config/grants.js';
import { Unavailable } from '../../../../src/errors.js';

const GRANTS: Grants = {
  ...{ tenant: 't', role: 'user', models: null, limits: NO_LIMITS, priority: 1 },
  ...{ saltScope: 'tenant', shares: [], publishes: [] },
};
const TOKEN = 'eyJ0.e30.sig';

describe('the caller of a request that runs', () => {
  let clock: SimulatedClock;
  let verified: number;
  let verify: () => Principal;
  let requests: RunningRequests;

  beforeEach(() => {
    clock = new SimulatedClock();
    verified = 0;
    verify = () => subjectPrincipal('ann', GRANTS);
    const tokens = {
      verify: async () => {
        verified++;
        return verify();
      },
    };
    requests = new RunningRequests(new Access({ rings: () => [], tokens }), clock);
  });

  const begun = (principal: Principal | null = subjectPrincipal('ann', GRANTS)) => {
    const response = Object.assign(new EventEmitter(), { destroyed: false, writableFinished: true });
    const caller = { access: 'key' as const, authorization: `Bearer ${TOKEN}`, principal };
    return { response, signal: requests.add(response as unknown as ServerResponse, caller) };
  };
  /** Until the callers have been looked at, which takes turns of the event loop. */
  const looked = async () => {
    await clock.advance(RECHECK_MS);
    for (let turn = 0; turn < 4; turn++) await settled();
  };

  it('is looked at once for all its requests, and they go on while it is admitted', async () => {
    const signals = [begun().signal, begun().signal];
    await looked();
    expect(verified).toBe(1);
    await looked();
    expect([verified, ...signals.map(({ aborted }) => aborted)]).toEqual([2, false, false]);
  });

  it('ends them when its token has expired', async () => {
    const { signal } = begun();
    verify = () => {
      throw new ApiError(401, 'authorization: cannot accept the token: it has expired', { code: 'invalid_token' });
    };
    await looked();
    expect(signal.reason).toMatchObject({ status: 401, code: 'invalid_token' });
  });

  it.each([{ role: 'operator' as const }, { role: 'metrics' as const }, { tenant: 'other' }])(
    'ends them when it has %o',
    async (other) => {
      const { signal } = begun();
      verify = () => subjectPrincipal('ann', { ...GRANTS, ...other });
      await looked();
      expect(signal.reason).toBeInstanceOf(ApiError);
    },
  );

  it('keeps them while nobody can say who it is, and where no key is needed', async () => {
    const { signal } = begun();
    verify = () => {
      throw new Unavailable('cannot read the key set');
    };
    await looked();
    expect(signal.aborted).toBe(false);
    const open = begun(null);
    verify = () => {
      throw new ApiError(401, 'unknown');
    };
    await looked();
    expect([signal.aborted, open.signal.aborted]).toEqual([true, false]);
  });

  it('is not looked at any more once they have ended', async () => {
    const { response } = begun();
    response.emit('close');
    await requests.idle();
    await looked();
    expect([verified, clock.nextAtMs()]).toEqual([0, null]);
    begun();
    requests.stop();
    await looked();
    expect(verified).toBe(0);
  });
});
