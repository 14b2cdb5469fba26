import type { FleetApi } from '../../fleet/fleet-api.js';
import { median } from '../../report.js';
import { atMost, type Fault } from '../fault.js';
import { promptsOf } from '../prefixes.js';

const ROUNDS = 9;
const NOTES = 64;
const LINK = { kind: 'slow', bitsPerS: 1_000_000, delayMs: 200 } as const;

/** The only holder of prefixes has a slow link. */
export const slowPeer: Fault = {
  name: 'slow-peer',
  row: 'a slow peer (1 Mbit/s, 200 ms) is the only one with a prefix',
  passesWhen: 'a fetch that would take longer than computing is abandoned; time to first token at most cold + 10 %',
  bounds: { failed_requests: atMost(0), wrong_answers: atMost(0), first_token_over_cold: atMost(1.1) },
  needs: ['addresses'],
  expectedS: 20,
  async run(context) {
    const fleet = await context.members({ workers: 2, replicas: 1, proxied: true });
    const [slow, other] = fleet.workerIds as [string, string];
    const prompts = Array.from({ length: 2 * ROUNDS }, (_, i) => promptsOf(NOTES, 10_000 + i)[0]!);
    const known = prompts.slice(0, ROUNDS);
    for (const { prompt } of known) await fleet.api.complete({ prompt }, { 'x-shoal-worker': slow });
    // With one copy of each block and two workers, about half of the segments have moved to the other worker: they say nothing about the link.
    fleet.wires.setBoth(slow, other, LINK);
    const cold: number[] = [];
    const warm: number[] = [];
    let wrong = 0;
    for (let i = 0; i < ROUNDS; i++) {
      cold.push((await ttft(fleet.api, prompts[ROUNDS + i]!.prompt, other)).ms);
      const seen = await ttft(fleet.api, known[i]!.prompt, other);
      warm.push(seen.ms);
      if (seen.text !== known[i]!.answer) wrong++;
    }
    const cold_ms = median(cold);
    const first_token_ms = median(warm);
    return {
      failed_requests: 0,
      wrong_answers: wrong,
      cold_ms,
      first_token_ms,
      worst_ms: Math.max(...warm),
      first_token_over_cold: first_token_ms / cold_ms,
    };
  },
};

async function ttft(api: FleetApi, prompt: string, worker: string): Promise<{ ms: number; text: string }> {
  const { choices, shoal } = await api.complete({ prompt, max_tokens: 24 }, { 'x-shoal-worker': worker });
  return { ms: shoal.ttft_ms, text: choices[0]!.text.trim() };
}
