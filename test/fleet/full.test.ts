import { afterAll, beforeAll, expect, it } from 'vitest';
import { Fleet } from './support/fleet.js';

const RUNNING = 2;
const WAITING = 3;

let fleet: Fleet;

beforeAll(async () => {
  fleet = await Fleet.up(['--workers', '1', '--sequences', `${RUNNING}`, '--max-waiting', `${WAITING}`]);
});
afterAll(async () => {
  await fleet?.stop();
});

it('answers as many requests as may run and wait, and refuses the others with 429 and retry-after', async () => {
  const ask = async (i: number) => {
    const body = { model: 'recall', prompt: `Notes: ${i}`, max_tokens: 400, ignore_eos: true, temperature: 0 };
    const response = await fleet.post('/v1/completions', body);
    return { status: response.status, retryAfter: response.headers.get('retry-after'), body: await response.json() };
  };
  const answers = await Promise.all(Array.from({ length: 16 }, (_, i) => ask(i)));
  const done = answers.filter(({ status }) => status === 200);
  const refused = answers.filter(({ status }) => status !== 200);
  expect(done.length).toBeGreaterThanOrEqual(WAITING);
  for (const { body } of done) expect(body).toMatchObject({ usage: { completion_tokens: 400 } });
  expect(refused).not.toEqual([]);
  for (const { status, retryAfter, body } of refused) {
    expect(status).toBe(429);
    expect(Number(retryAfter)).toBeGreaterThan(0);
    expect(body).toMatchObject({ error: { type: 'rate_limit_error', code: 'rate_limit_exceeded' } });
  }
  expect((await ask(99)).status).toBe(200);
});
