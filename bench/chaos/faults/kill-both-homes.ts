import { atLeast, atMost, type Fault } from '../fault.js';
import { promptsOf } from '../prefixes.js';

const WORKERS = 4;

/** Every copy of a prefix is lost at once. */
export const killBothHomes: Fault = {
  name: 'kill-both-homes',
  row: 'kill -9 both homes of a prefix, and every guest of it',
  passesWhen: 'the prefix is computed again; failed requests 0',
  bounds: { failed_requests: atMost(0), wrong_answers: atMost(0), computed_again: atLeast(1) },
  needs: [],
  expectedS: 10,
  async run(context) {
    const fleet = await context.up(['--workers', String(WORKERS), '--replicas', '2']);
    const prompts = promptsOf(48, 10_000 + context.random.below(1_000)).slice(0, 8);
    const [first] = prompts;
    const before = await fleet.complete({ prompt: first!.prompt });
    const copied = async () => (await fleet.copies(first!.prompt)).every((copies) => copies >= 2);
    await context.until('the prefix has two copies', 30_000, copied);
    const holders = await fleet.holders(first!.prompt);
    const victims = (await fleet.workers()).filter(({ id }) => holders.has(id));
    context.progress(`killing ${victims.map(({ id }) => id).join(', ')}`);
    for (const { pid } of victims) process.kill(pid, 'SIGKILL');
    const answers = await Promise.allSettled(prompts.map(({ prompt }) => fleet.complete({ prompt })));
    const failed = answers.filter(({ status }) => status === 'rejected');
    for (const { reason } of failed as PromiseRejectedResult[]) context.note(String(reason));
    const completions = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
    const wrong = completions.filter(({ choices }, i) => choices[0]!.text.trim() !== prompts[i]!.answer);
    const prefixTokens = 64 * Math.floor(before.usage.prompt_tokens / 64 - 1);
    const computed_again = completions.filter(({ shoal }) => shoal.cached.computed >= prefixTokens).length;
    const wrong_answers = failed.length > 0 ? Number.NaN : wrong.length;
    return { killed: victims.length, failed_requests: failed.length, wrong_answers, computed_again };
  },
};
