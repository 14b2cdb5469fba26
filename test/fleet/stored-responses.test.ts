import OpenAI from 'openai';
import { afterEach, expect, it } from 'vitest';
import { recallSheet } from '../../bench/fleet/recall-sheet.js';
import { Fleet } from './support/fleet.js';

const sheet = recallSheet(12, 21);
const [first, second] = [sheet.questions[0]!, sheet.questions[1]!];
const asked = { model: 'recall', temperature: 0 };

let fleet: Fleet | null = null;
afterEach(async () => {
  await fleet?.stop();
  fleet = null;
});

const sdkOf = (url: string) => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });

it('a conversation goes on at another coordinator, after the end of its coordinator, and after that of a worker', async () => {
  const running = await Fleet.up(['--workers', '3', '--coordinators', '2']);
  fleet = running;
  const [own, other] = running.ready.coordinators.map(({ url }) => sdkOf(url));
  const begun = await own!.responses.create({
    ...asked,
    input: [
      { role: 'system', content: sheet.notes },
      { role: 'user', content: first.question },
    ],
  });
  expect(begun.output_text.trim()).toBe(first.answer);
  const next = { ...asked, input: second.question, previous_response_id: begun.id };
  const continued = await other!.responses.create(next);
  expect(continued.output_text.trim()).toBe(second.answer);
  expect(continued.usage!.input_tokens_details.cached_tokens).toBeGreaterThan(0);

  process.kill(running.ready.coordinators[0]!.pid, 'SIGKILL');
  const serving = async () => (await running.workers().catch(() => [])).some(({ state }) => state === 'serving');
  while (!(await serving()));
  expect((await own!.responses.create(next)).output_text).toBe(continued.output_text);

  process.kill(running.ready.workers[0]!.pid, 'SIGKILL');
  await running.until((workers) => workers.every(({ pid }) => pid !== running.ready.workers[0]!.pid));
  expect((await own!.responses.create(next)).output_text).toBe(continued.output_text);
  expect((await own!.responses.retrieve(begun.id)).output_text).toBe(begun.output_text);
  await other!.responses.delete(begun.id);
  await expect(own!.responses.create(next)).rejects.toMatchObject({ code: 'previous_response_not_found' });
});
