import { type FleetApi, pooled } from '../../fleet/fleet-api.js';
import { atMost, type Fault } from '../fault.js';
import { promptsOf, uncached } from '../prefixes.js';

const REQUESTS = 1_000;
const NOTES = 48;
const BLOCK_TOKENS = 64;
const CHECKED = 5;

/** Very many requests with one new prefix come at once. */
export const herd: Fault = {
  name: 'herd',
  row: '1,000 requests with one new prefix at once',
  passesWhen: 'at most 2 prefills of it in the fleet; failed requests 0',
  bounds: { failed_requests: atMost(0), wrong_answers: atMost(0), prefills: atMost(2) },
  needs: [],
  expectedS: 40,
  async run(context) {
    const fleet = await context.up(['--workers', '3', '--replicas', '2']);
    const prompts = promptsOf(NOTES, 10_000 + context.random.below(1_000));
    const shared = await fleet.countTokens(prompts[0]!.prompt.slice(0, prompts[0]!.prompt.lastIndexOf('\n\nQ:')));
    const outcomes = await pooled(
      REQUESTS,
      Array.from({ length: REQUESTS }, (_, i) => () => ask(fleet, prompts[i % prompts.length]!.prompt)),
    );
    const failures = outcomes.flatMap((outcome) => ('error' in outcome ? [outcome.error] : []));
    for (const failure of failures) context.note(failure);
    const answered = outcomes.flatMap((outcome, i) => ('error' in outcome ? [] : [{ ...outcome, i }]));
    let wrong_answers = 0;
    const doubtful = answered.filter(({ text, i }) => text !== prompts[i % prompts.length]!.answer);
    const texts = new Map<string, string>();
    for (const { text, i } of doubtful) {
      const { prompt } = prompts[i % prompts.length]!;
      if (!texts.has(prompt) && texts.size < CHECKED) texts.set(prompt, await uncached(fleet, prompt));
      if (texts.has(prompt) && texts.get(prompt) !== text) wrong_answers++;
    }
    const prefixTokens = BLOCK_TOKENS * Math.floor(shared / BLOCK_TOKENS);
    return {
      failed_requests: failures.length,
      wrong_answers,
      prefix_tokens: prefixTokens,
      prefills: answered.filter(({ computed }) => computed >= prefixTokens).length,
    };
  },
};

type Outcome = { readonly text: string; readonly computed: number } | { readonly error: string };

async function ask(fleet: FleetApi, prompt: string): Promise<Outcome> {
  try {
    const { choices, shoal } = await fleet.complete({ prompt });
    return { text: choices[0]!.text.trim(), computed: shoal.cached.computed };
  } catch (error) {
    return { error: String(error) };
  }
}
