import { type FleetApi, pooled } from '../../fleet/fleet-api.js';
import { atLeast, atMost, type Fault } from '../fault.js';
import { promptsOf, uncached } from '../prefixes.js';

const REQUESTS = 120;
const CHECKED = 20;
const REFUSED = [429, 503];

/** Far more requests and prefixes than the workers have room for. */
export const memoryExhausted: Fault = {
  name: 'memory-exhausted',
  row: 'device and host budget exhausted: 1 MiB for blocks, 4 sequences, 8 waiting, and 120 requests at once',
  passesWhen: "eviction, then 429 or 503; never a crash, never another request's loss",
  bounds: {
    unexplained_failures: atMost(0),
    answered: atLeast(1),
    refused: atLeast(1),
    wrong_answers: atMost(0),
    processes_ended: atMost(0),
    failed_afterwards: atMost(0),
  },
  needs: [],
  expectedS: 30,
  async run(context) {
    const small = ['--cache-bytes', '1MiB', '--sequences', '2', '--max-waiting', '4'];
    const fleet = await context.up(['--workers', '2', ...small]);
    const pids = await fleet.pids();
    const prompts = Array.from({ length: REQUESTS }, (_, i) => promptsOf(24, 10_000 + i)[0]!);
    const outcomes = await pooled(
      REQUESTS,
      prompts.map(
        ({ prompt }) =>
          () =>
            ask(fleet, prompt),
      ),
    );
    const answered = outcomes.flatMap(({ status, text }, i) => (status === 200 ? [{ ...prompts[i]!, text }] : []));
    const odd = outcomes.filter(({ status }) => status !== 200 && !REFUSED.includes(status));
    for (const { status, text } of odd) context.note(`${status}: ${text}`);
    let wrong_answers = 0;
    for (const { prompt, answer, text } of answered.slice(0, CHECKED)) {
      if (text !== answer && text !== (await uncached(fleet, prompt))) wrong_answers++;
    }
    const after = await Promise.all([ask(fleet, prompts[0]!.prompt), ask(fleet, prompts[1]!.prompt)]);
    const now = new Set(await fleet.pids());
    return {
      answered: answered.length,
      refused: outcomes.length - answered.length - odd.length,
      unexplained_failures: odd.length,
      wrong_answers,
      processes_ended: pids.filter((pid) => !now.has(pid)).length,
      failed_afterwards: after.filter(({ status }) => status !== 200).length,
    };
  },
};

/** The status and the answer, or the reason of the refusal. */
async function ask(api: FleetApi, prompt: string): Promise<{ status: number; text: string }> {
  try {
    const response = await api.post('/v1/completions', { model: 'recall', temperature: 0, max_tokens: 32, prompt });
    const body = (await response.json()) as { choices?: { text: string }[]; error?: { message: string } };
    return { status: response.status, text: body.choices?.[0]?.text.trim() ?? body.error?.message ?? '' };
  } catch (error) {
    return { status: 0, text: String(error) };
  }
}
