import { afterAll, beforeAll, expect, it } from 'vitest';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { Fleet } from './support/fleet.js';

const sheet = recallSheet(16, 5);
const prompt = recallPrompt(sheet, sheet.questions[0]!.question);

let fleet: Fleet;

beforeAll(async () => {
  fleet = await Fleet.up(['--workers', '1']);
});
afterAll(async () => {
  await fleet?.stop();
});

async function generatedTokens(): Promise<number> {
  const text = await (await fetch(`${fleet.url}/metrics`)).text();
  return Number(/^shoal_generated_tokens_total (\d+)$/m.exec(text)![1]);
}

it('computes a request that a client repeats under its own id once', async () => {
  const body = { model: 'recall', prompt, max_tokens: 200, ignore_eos: true, temperature: 1, n: 2 };
  const before = await generatedTokens();
  const ask = async () => (await fleet.post('/v1/completions', body, { 'x-request-id': 'whole' })).text();
  const [first, second] = await Promise.all([ask(), ask()]);
  expect(first).toContain('"finish_reason":"length"');
  expect(second).toBe(first);
  expect(await ask()).toBe(first);
  // The text of the metrics is up to a second old.
  await expect.poll(async () => (await generatedTokens()) - before, { timeout: 30_000 }).toBe(400);
});

it('replays a stream from its start for a client whose connection broke', async () => {
  const body = { model: 'recall', prompt, max_tokens: 200, ignore_eos: true, temperature: 1, stream: true };
  const before = await generatedTokens();
  const broken = await fleet.post('/v1/completions', body, { 'x-request-id': 'stream' });
  const reader = broken.body!.getReader();
  const start = new TextDecoder().decode((await reader.read()).value);
  await reader.cancel();
  const text = await (await fleet.post('/v1/completions', body, { 'x-request-id': 'stream' })).text();
  expect(text.startsWith(start)).toBe(true);
  expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true);
  // The text of the metrics is up to a second old.
  await expect.poll(async () => (await generatedTokens()) - before, { timeout: 30_000 }).toBe(200);
});
