import { expect, it, onTestFinished, vi } from 'vitest';
import { CHECKED_PROMPTS } from '../../../console/chaos/answer-check.js';
import { SteadyAsking } from '../../../console/chaos/steady-asking.js';
import { EMPTY_MODEL, type FleetModel } from '../../../console/feed/fleet-model.js';
import { Store } from '../../../console/feed/store.js';
import { ApiFailure } from '../../../console/session/api.js';
import type { FeedWorker } from '../../../src/console/feed-messages.js';
import { type AskedAnswer, aborted, ScriptedApi } from './support/scripted-api.js';

const worker = (id: string): FeedWorker => ({
  ...{ id, state: 'serving', device: 'cpu', quarantined: false, blocks: 0, bytes: 0, budget: 100 },
  ...{ running: 0, waiting: 0, hit_rate: 0, compute_ms_per_token: null },
});
/** The second of three workers sends corrupt blocks. */
const CORRUPT: FleetModel = {
  ...EMPTY_MODEL,
  hello: {
    ...{ type: 'hello', at: 0, version: '1', model: 'm', role: 'operator', routing: true, chaos: true },
    happened: [],
  },
  workers: new Map(['w1', 'w2', 'w3'].map((id) => [id, worker(id)])),
  happened: [{ at: 0, kind: 'disturbed', worker: 'w2', fault: 'corrupt', seconds: 20 }],
};

/** Answers each question rightly once, then waits. @param refusal the status of requests that name their worker; null if they are answered */
function askingOf(model: FleetModel, refusal: number | null = null) {
  let answers = 0;
  const api = new ScriptedApi(async function* ({ body, headers, signal }) {
    if (refusal !== null && headers['x-shoal-worker'] !== undefined) throw new ApiFailure(refusal, 'refused');
    if (++answers > CHECKED_PROMPTS.length) await aborted(signal);
    yield CHECKED_PROMPTS.find(({ prompt }) => prompt === body.prompt)!.note;
  });
  const asking = new SteadyAsking(api, { model: new Store(model), now: () => 1_000 });
  onTestFinished(() => asking.stop());
  asking.start();
  const all = () => vi.waitFor(() => expect(asking.state.value.counts.right).toBe(CHECKED_PROMPTS.length));
  return { api, asking, all };
}
const namedBy = (asked: readonly AskedAnswer[]) => asked.flatMap(({ headers }) => headers['x-shoal-worker'] ?? []);

it('asks a worker with corrupt blocks for new ones, and then another worker that lacks them', async () => {
  const { api, all } = askingOf(CORRUPT);
  await all();
  const [first, second] = api.asked;
  expect(namedBy(api.asked)).toEqual(['w2', expect.stringMatching(/w[13]/)]);
  expect(first!.body.cache_salt).toMatch(/^console-/);
  expect(second!.body.cache_salt).toBe(first!.body.cache_salt);
});

it('names no worker in calm, nor where requests may not', async () => {
  for (const model of [
    { ...CORRUPT, happened: [] },
    { ...CORRUPT, hello: { ...CORRUPT.hello!, routing: false } },
  ]) {
    const { api, all } = askingOf(model);
    await all();
    expect(namedBy(api.asked)).toEqual([]);
  }
});

it('asks any worker if the one that it named is gone, and counts no failure', async () => {
  const { asking, all } = askingOf(CORRUPT, 503);
  await all();
  expect(asking.state.value).toMatchObject({ running: true, problem: null, counts: { wrong: 0, failed: 0 } });
  asking.stop();
  expect(asking.state.value).toMatchObject({ running: false, counts: { right: CHECKED_PROMPTS.length } });
});

it('counts what else a named worker fails with', async () => {
  const { asking } = askingOf(CORRUPT, 500);
  await vi.waitFor(() => expect(asking.state.value.counts.failed).toBeGreaterThan(0));
  expect(asking.state.value.problem).toBe('refused');
});
