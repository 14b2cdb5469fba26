import { atMost, type Fault } from '../fault.js';
import { promptsOf } from '../prefixes.js';

const REQUESTS = 40;
const NOTES = 80;

/** One worker takes shorter prompts than the others. */
export const mixedContext: Fault = {
  name: 'mixed-context',
  row: 'members with different --context: one worker with 512 tokens, the others and the coordinator with 4,096',
  passesWhen: 'every request that some worker can take succeeds',
  bounds: { failed_requests: atMost(0), wrong_answers: atMost(0) },
  needs: [],
  expectedS: 20,
  async run(context) {
    const fleet = await context.members({ workers: 1 });
    await fleet.startWorker('short', { args: ['--context', '512'] });
    await fleet.allServe(2);
    let failed_requests = 0;
    let wrong_answers = 0;
    let tokens = 0;
    for (let i = 0; i < REQUESTS; i++) {
      const { prompt, answer } = promptsOf(i % 2 === 0 ? NOTES : 8, 10_000 + i)[0]!;
      try {
        const { choices, usage } = await fleet.api.complete({ prompt });
        tokens = Math.max(tokens, usage.prompt_tokens);
        // The model misreads long sheets, so only whether it answers them counts.
        if (i % 2 === 1 && choices[0]!.text.trim() !== answer) wrong_answers++;
      } catch (error) {
        context.note(String(error));
        failed_requests++;
      }
    }
    return { requests: REQUESTS, longest_tokens: tokens, failed_requests, wrong_answers };
  },
};
