import { fileURLToPath } from 'node:url';
import { bareDecode } from './bare-loop.js';
import { benchGraph, benchModel, benchThreads, randomTokens } from './bench-model.js';
import { streamed } from './first-token.js';
import { type BenchOptions, machineLine, median, type Report, reportRow } from './report.js';
import { RunningFleet } from './running-fleet.js';

const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const PROMPT_TOKENS = 128;
const NEW_TOKENS = 129;
const ROUNDS = 7;

/** Tokens a second of one stream through the whole fleet, as a client sees it, beside the bare loop over the same graph, in turn. */
export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  const model = await benchModel();
  const graph = await benchGraph(model, benchThreads());
  progress('starting one worker');
  const fleet = await RunningFleet.up(CLI, ['--workers', '1', '--model', model]);
  const perSecond = { fleet: [] as number[], bare: [] as number[] };
  try {
    for (let round = -1; round < (rounds ?? ROUNDS); round++) {
      const prompt = randomTokens(PROMPT_TOKENS);
      const fleetRate = await fleetTokensPerSecond(fleet, prompt);
      const steps = await bareDecode(graph, { prompt, steps: NEW_TOKENS - 1 });
      const bareRate = (1000 * steps.length) / steps.reduce((sum, ms) => sum + ms, 0);
      progress(`round ${round + 1}: fleet ${fleetRate.toFixed(1)}, bare ${bareRate.toFixed(1)} tokens/s`);
      if (round < 0) continue;
      perSecond.fleet.push(fleetRate);
      perSecond.bare.push(bareRate);
    }
  } finally {
    await fleet.stop();
    graph.release();
  }
  const ratio = median(perSecond.fleet) / median(perSecond.bare);
  return {
    name: 'decode',
    machine: machineLine(),
    rows: [
      reportRow('one stream through the fleet', 'tokens/s', perSecond.fleet),
      reportRow('bare IO-bound loop', 'tokens/s', perSecond.bare),
    ],
    ratios: [{ name: 'fleet / bare loop', value: ratio, bound: { kind: 'at least', value: 0.9 } }],
  };
}

/** From the first token to the last, as they reach the client. */
async function fleetTokensPerSecond(fleet: RunningFleet, prompt: readonly number[]): Promise<number> {
  const worker = fleet.ready.workers[0]!.id;
  const { chunkMs, completionTokens } = await streamed(fleet, prompt, NEW_TOKENS, worker);
  if (completionTokens !== NEW_TOKENS) throw new Error(`expected ${NEW_TOKENS} tokens, there were ${completionTokens}`);
  return (1000 * (NEW_TOKENS - 1)) / (chunkMs.at(-1)! - chunkMs[0]!);
}
