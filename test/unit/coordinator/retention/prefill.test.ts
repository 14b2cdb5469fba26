import { expect, it } from 'vitest';
import { prefill } from '../../../../coordinator/retention/prefill.js';
import { ScriptedFleet, saying } from '../support/scripted-fleet.js';

it('a pinned prompt is computed on its worker, in the share of the tenant that pinned it', async () => {
  const fleet = new ScriptedFleet();
  fleet.script = () => saying([5]);
  const prompt = { tokens: new Uint32Array(64), salt: 'salt', tenant: { name: 'acme', weight: 4 } };
  await prefill(fleet, 'pin-1', 'worker-1', prompt, new AbortController().signal);
  expect(fleet.asked.map(({ request }) => request)).toMatchObject([{ ...prompt, worker: 'worker-1' }]);
});
